// The call in Go and Rust.

import { camel, enumType, short } from "./operations.js";
import { list, numbers, pointed, quoted } from "./literals.js";
import { DTYPES } from "./numbers.js";

const pascal = (name) => camel(`_${name}`);

export function go(c) {
  const { method, field, parameters, tensors, isLarge, host, secure, hasToken } = c;
  const imports = new Set(["context", "fmt", "log"]);
  const modules = new Set(["google.golang.org/grpc", `google.golang.org/grpc/credentials${secure ? "" : "/insecure"}`]);
  const special = (text) => {
    imports.add("math");
    return text;
  };
  const float = (value) => {
    if (Number.isFinite(value)) return Object.is(value, -0) ? special("math.Copysign(0, -1)") : String(value);
    return special(Number.isNaN(value) ? "math.NaN()" : `math.Inf(${value > 0 ? 1 : -1})`);
  };
  const single = (value) => (Number.isFinite(value) && !Object.is(value, -0) ? String(value) : `float32(${float(value)})`);
  let hasBytes = false;
  const tensor = ({ name, dtype, shape, values }, indent) => {
    const parts = name === "" ? [] : [`Name: ${quoted(name)}`];
    if (dtype !== "float32") parts.push(`Dtype: pb.DataType_${DTYPES[dtype].wire}`);
    parts.push(`Shape: []int64{${shape.join(", ")}}`);
    const words = (write, open, close) => list(Array.from(values, write), indent, open, close).replace(/\n(\s*)\}/, `,\n$1}`);
    if (dtype === "float64") {
      hasBytes = true;
      parts.push(`Data: littleEndian(${words(float, "[]float64{", "}")})`);
    } else {
      parts.push(`FloatData: ${words(single, "[]float32{", "}")}`);
    }
    return `{${parts.join(", ")}}`;
  };
  const optional = (type, value) => {
    modules.add("google.golang.org/protobuf/proto");
    return `proto.${type}(${value})`;
  };
  const value = ({ name, type, value: own }) => {
    if (type === "choice") return `pb.${enumType(method, name)}_${own}`;
    if (type === "integers") return `[]int32{${own.join(", ")}}`;
    if (type === "vector") return `&pb.Tensor${tensor(own, "\t\t")}`;
    if (type === "number") return optional("Float64", float(own));
    if (type === "maybe") return optional("Bool", own);
    return name === "channel_axis" ? optional("Int32", own) : String(own);
  };
  const clip = field === "gradients";
  const lines = isLarge ? [] : parameters.map((parameter) => `\t\t${pascal(parameter.name)}: ${value(parameter)},`);
  const all = isLarge ? [] : tensors.map((its) => tensor(its, clip ? "\t\t\t" : "\t\t"));
  const message = clip ? ["\t\tGradients: []*pb.Tensor{", ...all.map((text) => `\t\t\t${text},`), "\t\t},"] : [`\t\tInput: &pb.Tensor${all[0]},`];
  const fail = ["\tif err != nil {", "\t\tlog.Fatal(err)", "\t}"];
  if (isLarge) {
    imports.add("os");
    modules.add("google.golang.org/protobuf/encoding/protojson");
  }
  if (hasBytes) imports.add("encoding/binary");
  if (hasToken) modules.add("google.golang.org/grpc/metadata");
  const request = isLarge
    ? [
      `\ttext, err := os.ReadFile("request.json")`, ...fail,
      `\trequest := new(pb.${method}Request)`,
      "\tif err := protojson.Unmarshal(text, request); err != nil {", "\t\tlog.Fatal(err)", "\t}",
    ]
    : [`\trequest := &pb.${method}Request{`, ...lines, ...message, "\t}"];
  const credentials = secure ? "credentials.NewTLS(nil)" : "insecure.NewCredentials()";
  const sorted = (set) => [...set].sort().map((path) => `\t"${path}"`);
  return [
    "// protoc-gen-go and protoc-gen-go-grpc make the package evenkeelv1 from the proto.",
    "package main", "", "import (", ...sorted(imports), "", `\tpb "evenkeel.dev/go/evenkeel/v1"`, ...sorted(modules), ")", "",
    ...(hasBytes
      ? ["func littleEndian(values []float64) []byte {", "\tbytes, _ := binary.Append(nil, binary.LittleEndian, values)", "\treturn bytes", "}", ""]
      : []),
    "func main() {",
    `\tconn, err := grpc.NewClient("${host}", grpc.WithTransportCredentials(${credentials}))`, ...fail,
    "\tdefer conn.Close()",
    "\tctx := context.Background()",
    ...(hasToken ? [`\tctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer TOKEN")`] : []),
    ...request,
    `\tanswer, err := pb.NewTensorOpsServiceClient(conn).${method}(ctx, request${isLarge ? ", grpc.MaxCallRecvMsgSize(64<<20)" : ""})`, ...fail,
    clip ? "\tfmt.Println(answer.TotalNorm, answer.Scale, answer.Gradients)" : "\tfmt.Println(answer.Output)",
    "}",
  ].join("\n");
}

/** The methods of the client crate's builders that have other names than the fields; `null`: they are no methods. */
const RUST_SETTERS = { mode: null, threshold: null, p: null, seed: null, running_var: null };

export function rust(c) {
  const { method, field, parameters, tensors, isLarge, secure, origin, hasToken } = c;
  const crate = new Set(["Client"]);
  const arrays = new Set();
  const double = numbers({ nan: "f64::NAN", inf: "f64::INFINITY", write: pointed });
  const type = (dtype) => ({ float32: "f32", float64: "f64", float16: "f16", bfloat16: "bf16" })[dtype];
  const isHalf = (dtype) => /16$/.test(dtype);
  const array = ({ dtype, shape, values }, indent) => {
    ["Array", "IxDyn"].forEach((name) => arrays.add(name));
    const plain = isHalf(dtype) ? "f32" : type(dtype);
    const number = numbers({ nan: `${plain}::NAN`, inf: `${plain}::INFINITY`, write: pointed });
    if (isHalf(dtype)) crate.add(`half::${type(dtype)}`);
    const half = isHalf(dtype) ? `.mapv(${type(dtype)}::from_f32)` : "";
    return `Array::<${plain}, _>::from_shape_vec(IxDyn(&[${shape.join(", ")}]), ${list(Array.from(values, number), indent, "vec![")})?${half}`;
  };
  const fromFile = ({ dtype, shape, bytes }, file) => {
    ["DType", "Tensor"].forEach((name) => crate.add(name));
    const own = bytes !== null || !isHalf(dtype) ? dtype : "float32";
    const read = `Tensor::from_le_bytes(DType::${{ float32: "F32", float64: "F64", float16: "F16", bfloat16: "Bf16" }[own]}, &[${shape.join(", ")}], &std::fs::read("${file}")?)?`;
    return { read, own };
  };
  const get = (name) => parameters.find((parameter) => parameter.name === name)?.value;
  const setter = ({ name, type: kind, value }) => {
    if (name in RUST_SETTERS && RUST_SETTERS[name] === null) return "";
    if (kind === "choice") {
      const [owner, variant] = [enumType(method, name), pascal(short(value).toLowerCase())];
      crate.add(owner);
      return `.${name}(${owner}::${variant})`;
    }
    if (kind === "json") {
      crate.add("StatisticsPartial");
      return `.statistics(&StatisticsPartial::decode(&std::fs::read("statistics.bin")?)?)`;
    }
    if (name === "running_mean") return `.running_statistics(${array(value, "        ")}, ${get("running_var") ? array(get("running_var"), "        ") : "/* the variance */"})`;
    if (kind === "vector") return `.${name}(${array(value, "        ")})`;
    if (kind === "integers") return `.${name}([${value.join(", ")}])`;
    return `.${name}(${kind === "number" ? double(value) : value})`;
  };
  const setters = () => parameters.map(setter).filter(Boolean).map((text) => `        ${text}`);
  const lines = [];
  if (method === "ClipGradients") {
    crate.add("Tensor");
    const gradients = tensors.map((its, index) => {
      const text = isLarge ? fromFile(its, `gradient-${index}.bin`).read : `Tensor::from(${array(its, "        ")})`;
      return `        (${quoted(its.name)}, ${text}),`;
    });
    const by = { NORM: "by_norm", VALUE: "by_value", NORM_PER_TENSOR: "by_norm_per_tensor" }[short(get("mode"))];
    lines.push("    let gradients: Vec<(&str, Tensor)> = vec![", ...gradients, "    ];");
    lines.push("    let answer = client", "        .clip_gradients(gradients)", `        .${by}(${double(get("threshold") ?? NaN)})`, ...setters());
    lines.push("        .send()", "        .await?;", `    println!("norm {}, factor {}", answer.total_norm, answer.scale);`);
    lines.push("    for gradient in &answer.gradients {", `        println!("{} {:?}", gradient.name, gradient.tensor);`, "    }");
  } else {
    const [its] = tensors;
    if (isLarge) {
      const { read, own } = fromFile(its, "input.bin");
      ["Array", "IxDyn"].forEach((name) => arrays.add(name));
      lines.push(`    let x: Array<${type(own)}, IxDyn> = ${read}.try_into()?;`);
      if (own !== its.dtype) {
        crate.add(`half::${type(its.dtype)}`);
        lines.push(`    let x = x.mapv(${type(its.dtype)}::from_f32);`);
      }
    } else {
      lines.push(`    let x = ${array(its, "    ")};`);
    }
    const call = method === "Normalize" ? ".normalize(&x)" : `.dropout(&x, ${double(get("p") ?? NaN)}, ${get("seed") ?? 0})`;
    lines.push("    let y = client", `        ${call}`, ...setters(), "        .send()", "        .await?;", `    println!("{}", y.output);`);
  }
  const plain = secure ? "" : ".allow_plaintext(true)";
  const connect = hasToken ? `Client::builder().token("TOKEN")${plain}.connect("${origin}")` : `Client::connect("${origin}")`;
  const used = [...crate].sort((a, b) => (a < b ? -1 : 1)).join(", ");
  const features = secure ? `, features = ["tls"]` : "";
  return [
    `// Cargo.toml: evenkeel-client = { path = "crates/client"${features} }, ndarray = "0.17", tokio = { version = "1", features = ["macros", "rt"] }`,
    `use evenkeel_client::${crate.size === 1 ? used : `{${used}}`};`,
    ...(arrays.size > 0 ? [`use ndarray::{${[...arrays].join(", ")}};`] : []),
    "", `#[tokio::main(flavor = "current_thread")]`, "async fn main() -> Result<(), Box<dyn std::error::Error>> {",
    `    let client = ${connect}.await?;`, ...lines, "    Ok(())", "}",
  ].join("\n");
}
