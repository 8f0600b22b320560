// Images as tensors: the red, green and blue of each pixel, in [0, 1], as (1, 3, H, W).

import { encode } from "./numbers.js";
import { FileError } from "./npy.js";

/** The longest side, in pixels; larger images are scaled down. */
const LONGEST = 256;
const CHANNELS = 3;

/** The tensor of an image file, and a note if it was scaled. Throws a FileError. */
export async function readImage(file) {
  let image;
  try {
    image = await createImageBitmap(file);
  } catch {
    throw new FileError(`${file.name} is neither an .npy file nor an image that this browser can read.`);
  }
  const scale = Math.min(1, LONGEST / Math.max(image.width, image.height));
  const [width, height] = [image.width, image.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height).data;
  const area = width * height;
  const values = new Float32Array(CHANNELS * area);
  for (let channel = 0; channel < CHANNELS; channel += 1) {
    for (let i = 0; i < area; i += 1) values[channel * area + i] = pixels[4 * i + channel] / 255;
  }
  const note = scale < 1 ? `scaled from ${image.width} × ${image.height} pixels to ${width} × ${height}` : "";
  return { dtype: "float32", shape: [1, CHANNELS, height, width], bytes: encode("float32", values), note };
}
