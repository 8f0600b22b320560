// Normalizes a row, with a scale and a shift, and prints the statistics and the gradients.
import { Client, tensor } from "@evenkeel/client";

const client = new Client(process.env.EVENKEEL_ADDRESS ?? "127.0.0.1:50051");
const x = tensor([[40000, 40001, 40002, 40003]]);
const weight = new Float32Array([1, 1, 2, 2]);
const bias = new Float32Array([0, 0, 1, 1]);

const { output, mean, rstd } = await client.normalize(x, { kind: "layer", weight, bias, returnStatistics: true });
console.log("output", output.data, "mean", mean?.data, "rstd", rstd?.data);

const gradOutput = tensor([[1, 0, 0, 0]]);
const { gradInput, gradWeight, gradBias } = await client.normalizeBackward(x, gradOutput, {
  kind: "layer",
  weight,
  bias,
});
console.log("gradients", gradInput.data, gradWeight?.data, gradBias?.data);
