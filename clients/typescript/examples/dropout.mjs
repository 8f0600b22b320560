// Drops elements by a mask that any program can compute again.
import { Client, keepMask, tensor, unpackMask } from "@evenkeel/client";

const client = new Client(process.env.EVENKEEL_ADDRESS ?? "127.0.0.1:50051");
const ones = tensor(new Float32Array(16).fill(1), [2, 8]);

const { output, kept, mask } = await client.dropout(ones, { p: 0.3, seed: 42n, returnMask: true });
console.log(output.data, kept);
console.log("the server's mask", mask && unpackMask(mask, 16));
console.log("this program's   ", keepMask(16, { p: 0.3, seed: 42n }));
