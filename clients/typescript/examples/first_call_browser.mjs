// Normalizes a row of numbers in a page, on the server that the page's body names, or else on the page's own.
import { Client, tensor } from "@evenkeel/client/web";

const client = new Client(document.body.dataset.server);
const { output } = await client.layerNorm(tensor([[40000, 40001, 40002, 40003]]));
document.body.textContent = output.data.join(" ");
