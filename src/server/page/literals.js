// Numbers and lists in the text of programs.

const WIDTH = 72;

/** A list of words, broken into lines where it is long: `open`, the words, `close`. */
export function list(words, indent = "", open = "[", close = "]") {
  const line = words.join(", ");
  if (open.length + line.length + close.length <= WIDTH) return `${open}${line}${close}`;
  const lines = [];
  let current = "";
  for (const word of words) {
    if (current.length + word.length + 2 > WIDTH - indent.length) {
      lines.push(current);
      current = "";
    }
    current += current === "" ? word : ` ${word}`;
    current += ",";
  }
  // Not all languages allow a comma behind the last word.
  lines.push(current.replace(/,$/, ""));
  return `${open}\n${lines.map((text) => `${indent}  ${text}`).join("\n")}\n${indent}${close}`;
}

/** A function that writes numbers; `nan`, `inf` and `negative` are the words for what is not finite. */
export function numbers({ nan, inf, negative = `-${inf}`, write = String }) {
  return (value) => {
    if (Number.isNaN(value)) return nan;
    if (!Number.isFinite(value)) return value > 0 ? inf : negative;
    return write(Object.is(value, -0) ? "-0.0" : String(value));
  };
}

/** A number with a point or an exponent, as languages without conversions need it. */
export const pointed = (text) => (/[.e]/.test(text) ? text : `${text}.0`);

/** A text between double quotes, as C, Go, Java and Python read it. */
export const quoted = (text) => JSON.stringify(text);
