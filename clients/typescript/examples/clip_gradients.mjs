// Clips two gradients by their common norm and by value, and refuses those whose norm is infinite.
import { Client, NonfiniteNormError } from "@evenkeel/client";

const show = (name, values) => console.log(name, ...Array.from(values, (value) => value.toFixed(7)));

const client = new Client(process.env.EVENKEEL_ADDRESS ?? "127.0.0.1:50051");
const w = new Float32Array([3, 0]);
const b = new Float32Array([0, 4]);

const clipped = await client.clipGradNorm({ w, b }, 1);
show("total_norm", [clipped.totalNorm]);
show("scale", [clipped.scale]);
for (const [name, gradient] of Object.entries(clipped.gradients)) show(name, gradient.data);

const clamped = await client.clipGradValue({ w, b }, 3.5);
console.log("clipped_elements", Number(clamped.clippedElements));
for (const [name, gradient] of Object.entries(clamped.gradients)) show(name, gradient.data);

b[0] = Infinity;
try {
  await client.clipGradNorm({ w, b }, 1, { errorIfNonfinite: true });
} catch (error) {
  if (!(error instanceof NonfiniteNormError)) throw error;
  console.log("skip this step:", ...error.gradients.map(({ name }) => name));
}
