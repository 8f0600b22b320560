// Clips gradients by the norm over all of them, and tells an error of the arguments from one of the numbers.
import { Client, InvalidArgumentError, NonfiniteNormError } from "@evenkeel/client";

const client = new Client(process.env.EVENKEEL_ADDRESS ?? "127.0.0.1:50051");
const gradients = { w: new Float32Array([3, 0]), b: new Float32Array([0, 4]) };

try {
  const clipped = await client.clipGradNorm(gradients, 1, { errorIfNonfinite: true });
  console.log(clipped.totalNorm, clipped.gradients.w.data, clipped.gradients.b.data);
} catch (error) {
  if (error instanceof NonfiniteNormError) console.error("skip this step:", error.gradients);
  else if (error instanceof InvalidArgumentError) console.error("wrong arguments:", error.fields);
  else throw error;
}
