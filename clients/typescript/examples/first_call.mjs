// Normalizes a row of numbers.
import { Client, tensor } from "@evenkeel/client";

const client = new Client(process.env.EVENKEEL_ADDRESS ?? "127.0.0.1:50051");
const { output } = await client.layerNorm(tensor([[40000, 40001, 40002, 40003]]));
console.log(output.data);
