// Measures two parts of the gradients, as two machines would, and merges them without rounding.
import { Client, NormPartial, tensor } from "@evenkeel/client";

const client = new Client(process.env.EVENKEEL_ADDRESS ?? "127.0.0.1:50051");
const here = await client.measureGradients([tensor([3])]);
const there = await client.measureGradients([tensor([4])]);

// A partial goes to another program as bytes.
const merged = here.merge(NormPartial.fromBytes(there.toBytes()));
console.log(merged.totalNorm, merged.elements);

// Each machine clips its part by the norm of all parts.
const { gradients } = await client.clipGradNorm([tensor([3])], 1, { totalNorm: merged.totalNorm });
console.log(gradients[0].data);
