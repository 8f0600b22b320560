// Measures gradients and a row in two parts, as two workers would, and computes one part by the measures of both.
import { Client, NormPartial, StatisticsPartial, tensor } from "@evenkeel/client";

const show = (name, values) => console.log(name, ...Array.from(values, (value) => value.toFixed(7)));

const client = new Client(process.env.EVENKEEL_ADDRESS ?? "127.0.0.1:50051");

const [here, there] = [[tensor([3])], [tensor([4])]];
const sentNorm = (await client.measureGradients(there)).toBytes(); // from the other worker
const norm = (await client.measureGradients(here)).merge(NormPartial.fromBytes(sentNorm));
show("total_norm", [norm.totalNorm]);
console.log("elements", Number(norm.elements));
const clipped = await client.clipGradNorm(here, 1, { totalNorm: norm.totalNorm });
show("clipped here", clipped.gradients[0].data);

const [first, second] = [tensor([[40000, 40001]]), tensor([[40002, 40003]])];
const sent = (await client.measureStatistics(first, { kind: "layer" })).toBytes(); // from the other worker
const measured = await client.measureStatistics(second, { kind: "layer" });
const statistics = measured.merge(StatisticsPartial.fromBytes(sent));
const { output } = await client.layerNorm(second, { statistics });
show("normalized here", output.data);
