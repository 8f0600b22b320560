// Files of NumPy: one array each, in format 1, 2 or 3.

import { DTYPES, product } from "./numbers.js";

const MAGIC = "\x93NUMPY";

/** A file that the page does not read; its message is for the reader of the page. */
export class FileError extends Error {}

/** The array of a file: dtype, shape, and bytes. Throws a FileError that says what is wrong. */
export function parseNpy(buffer) {
  const bytes = new Uint8Array(buffer);
  const text = (from, to) => String.fromCharCode(...bytes.subarray(from, to));
  if (text(0, 6) !== MAGIC) throw new FileError("It is no .npy file: it does not begin with NumPy's mark.");
  const version = bytes[6];
  if (!(version >= 1 && version <= 3)) throw new FileError(`Format ${version ?? "?"} of .npy is not known; 1, 2 and 3 are.`);
  const start = version === 1 ? 10 : 12;
  if (bytes.length < start) throw new FileError("The .npy file is cut off within its header.");
  const view = new DataView(buffer);
  const end = start + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (bytes.length < end) throw new FileError("The .npy file is cut off within its header.");
  const { dtype, shape } = described(text(start, end));
  const elements = bytes.subarray(end);
  const expected = product(shape) * DTYPES[dtype].size;
  if (elements.length !== expected) {
    throw new FileError(`The shape (${shape.join(", ")}) needs ${expected} bytes of ${dtype}, and the file has ${elements.length}.`);
  }
  return { dtype, shape, bytes: elements };
}

/** The element type and the shape that a header describes. */
function described(header) {
  const descr = /'descr':\s*'([^']*)'/.exec(header)?.[1];
  const order = /'fortran_order':\s*(True|False)/.exec(header)?.[1];
  const shape = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1];
  if (descr === undefined && /'descr':\s*\[/.test(header)) {
    throw new FileError("The array has records; it must have plain float32, float64 or float16.");
  }
  if (descr === undefined || order === undefined || shape === undefined) {
    throw new FileError("The header of the .npy file has no descr, fortran_order and shape.");
  }
  if (/^>/.test(descr)) {
    throw new FileError(`The array is big-endian (${descr}). Save it with x.astype("${descr.replace(">", "<")}").`);
  }
  const dtype = Object.keys(DTYPES).find((name) => DTYPES[name].numpy !== "" && DTYPES[name].numpy === descr);
  if (dtype === undefined) {
    throw new FileError(`The elements are ${descr}; they must be float32, float64 or float16. Save it with x.astype("float32").`);
  }
  if (order === "True") {
    throw new FileError("The array is in Fortran order. Save it with np.ascontiguousarray(x).");
  }
  return { dtype, shape: shape.split(",").map((word) => word.trim()).filter(Boolean).map(Number) };
}
