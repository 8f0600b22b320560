// Drops elements, computes the mask without the server, and drops a part and its gradient by the same draws.
import { Client, keepMask, tensor, unpackMask } from "@evenkeel/client";

const show = (name, { data }) => console.log(name, ...Array.from(data, (value) => value.toFixed(7)));

const client = new Client(process.env.EVENKEEL_ADDRESS ?? "127.0.0.1:50051");
const x = new Float32Array(16).fill(1);

const dropped = await client.dropout(tensor(x, [2, 8]), { p: 0.3, seed: 42n, returnMask: true });
show("output", dropped.output);
console.log("kept", Number(dropped.kept));
const mask = keepMask(x.length, { p: 0.3, seed: 42n });
const same = unpackMask(dropped.mask, x.length).every((kept, draw) => kept === mask[draw]);
console.log("same mask", same ? "yes" : "no");

const second = await client.dropout(tensor(x.subarray(8), [1, 8]), { p: 0.3, seed: 42n, offset: 8 });
show("second row", second.output);
const gradOutput = tensor([[1, 2, 3, 4, 5, 6, 7, 8]]);
const gradInput = await client.dropoutBackward(gradOutput, { p: 0.3, seed: 42n, offset: 8 });
show("grad_input", gradInput);
