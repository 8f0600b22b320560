// The call of the page as a program in several languages.

import { encode, toJson } from "./numbers.js";
import { cpp, java } from "./snippets-grpc.js";
import { go, rust } from "./snippets-native.js";
import { curl, ghz, python, typescript } from "./snippets-script.js";

/** The most numbers that a program has in its text; more are read from a file. */
const MOST_INLINE = 128;

/** The languages, in the order of their tabs. */
export const LANGUAGES = [
  { id: "curl", title: "curl", write: curl },
  { id: "python", title: "Python", write: python },
  { id: "go", title: "Go", write: go },
  { id: "typescript", title: "TypeScript", write: typescript },
  { id: "java", title: "Java", write: java },
  { id: "cpp", title: "C++", write: cpp },
  { id: "rust", title: "Rust", write: rust },
  { id: "ghz", title: "ghz", write: ghz },
];

/** What the programs need of a request. `at`: the page's location. `hasToken`: the call sends a token, whose text is in no program. */
export function context(request, at, hasToken) {
  const { operation, method, message, parameters, tensors } = request;
  const numbers = [...tensors, ...parameters.filter(({ type }) => type === "vector").map(({ value }) => value)];
  const count = numbers.reduce((sum, { values }) => sum + values.length, 0);
  const isLarge = count > MOST_INLINE || parameters.some(({ type }) => type === "json");
  const secure = at.protocol === "https:";
  const host = at.port === "" ? `${at.hostname}:${secure ? 443 : 80}` : at.host;
  const field = method === "ClipGradients" ? "gradients" : "input";
  return { operation, method, message, parameters, tensors, field, isLarge, secure, host, origin: at.origin, hasToken };
}

/** The files that the programs of a large request read: names and contents. */
export function files({ isLarge, message, tensors, field }) {
  if (!isLarge) return [];
  const bytes = ({ values, bytes: own }) => own ?? encode("float32", values);
  const raw = tensors.map((tensor, index) => [binaryName(field, index), bytes(tensor)]);
  return [["request.json", `${toJson(message)}\n`], ...raw];
}

/** The name of the file with a tensor's elements, for the program in Rust. */
export const binaryName = (field, index) => (field === "input" ? "input.bin" : `gradient-${index}.bin`);
