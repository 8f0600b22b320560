// Normalizes a row far from zero with a weight, and computes the gradients.
import { Client, tensor } from "@evenkeel/client";

const show = (name, { data }) => console.log(name, ...Array.from(data, (value) => value.toFixed(7)));

const client = new Client(process.env.EVENKEEL_ADDRESS ?? "127.0.0.1:50051");
const x = tensor([[40000, 40001, 40002, 40003]]);
const weight = tensor([1, 1, 1, 2]);

const y = await client.layerNorm(x, { weight, eps: 1e-6, returnStatistics: true });
show("output", y.output);
show("mean", y.mean);
show("rstd", y.rstd);

const gradOutput = tensor([[1, 0, 0, 0]]);
const gradients = await client.normalizeBackward(x, gradOutput, { kind: "layer", weight, eps: 1e-6 });
show("grad_input", gradients.gradInput);
show("grad_weight", gradients.gradWeight);
