// The call in curl, ghz, Python and TypeScript.

import { DTYPES, toJson } from "./numbers.js";
import { SERVICE } from "./call.js";
import { camel, enumType, short } from "./operations.js";
import { list, numbers, quoted } from "./literals.js";

const shellText = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** A request in Connect's JSON. */
export function curl({ method, message, isLarge, origin, hasToken }) {
  const body = isLarge ? "@request.json" : shellText(toJson(message));
  return [
    "curl -H 'content-type: application/json' \\",
    ...(hasToken ? ['  -H "authorization: Bearer $TOKEN" \\'] : []),
    `  -d ${body} \\`,
    `  ${origin}/${SERVICE}/${method}`,
  ].join("\n");
}

/** A load of ten seconds; ghz asks the server's reflection service for the proto. */
export function ghz({ method, message, isLarge, host, secure, hasToken }) {
  return [
    `ghz${secure ? "" : " --insecure"} --call ${SERVICE}/${method} \\`,
    "  --concurrency 8 --connections 4 --duration 10s --duration-stop wait \\",
    "  --disable-template-functions --disable-template-data \\",
    ...(hasToken ? [`  --metadata '{"authorization": "Bearer TOKEN"}' \\`] : []),
    ...(isLarge ? ["  --max-recv-message-size 64MB \\"] : []),
    isLarge ? "  --data-file request.json \\" : `  --data ${shellText(toJson(message))} \\`,
    `  ${host}`,
  ].join("\n");
}

const pythonDouble = numbers({ nan: "np.nan", inf: "np.inf" });

export function python(c) {
  const { method, field, parameters, tensors, isLarge, host, secure, hasToken } = c;
  const tensor = ({ name, dtype, shape, values }, indent) => {
    const { wire, numpy } = DTYPES[dtype];
    const named = name === "" ? [] : [`name=${quoted(name)}`];
    const listed = list(Array.from(values, pythonDouble), indent);
    const elements = numpy === "" ? `float_data=${listed}` : `data=np.array(${listed}, "${numpy}").tobytes()`;
    return `pb.Tensor(${[...named, `dtype=pb.${wire}`, `shape=[${shape.join(", ")}]`, elements].join(", ")})`;
  };
  const value = ({ type, value: own }) => {
    if (type === "choice") return `pb.${own}`;
    if (type === "flag" || type === "maybe") return own ? "True" : "False";
    if (type === "integers") return `[${own.join(", ")}]`;
    return type === "vector" ? tensor(own, "    ") : type === "number" ? pythonDouble(own) : String(own);
  };
  const clip = field === "gradients";
  const all = tensors.map((its) => tensor(its, clip ? "        " : "    "));
  const request = isLarge
    ? [
      `with open("request.json") as file:`,
      `    request = json_format.Parse(file.read(), pb.${method}Request())`,
    ]
    : [
      `request = pb.${method}Request(`,
      ...parameters.map((parameter) => `    ${parameter.name}=${value(parameter)},`),
      ...(clip ? ["    gradients=[", ...all.map((text) => `        ${text},`), "    ],"] : [`    input=${all[0]},`]),
      ")",
    ];
  // The answer has its elements where the request has them.
  const kept = new Set(tensors.map(({ dtype, bytes }) => (isLarge && bytes === null ? "" : DTYPES[dtype].numpy)));
  const [numpy] = kept;
  const elements = (name) => {
    if (kept.size !== 1) return name;
    return numpy === "" ? `np.array(${name}.float_data).reshape(${name}.shape)` : `np.frombuffer(${name}.data, "${numpy}").reshape(${name}.shape)`;
  };
  const channel = secure ? `grpc.secure_channel("${host}", grpc.ssl_channel_credentials()` : `grpc.insecure_channel("${host}"`;
  const options = isLarge ? `, options=[("grpc.max_receive_message_length", 64 << 20)])` : ")";
  return [
    "# pip install grpcio-tools numpy",
    "# python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. evenkeel/v1/tensor_ops.proto",
    "import grpc",
    "import numpy as np",
    "from evenkeel.v1 import tensor_ops_pb2 as pb, tensor_ops_pb2_grpc as rpc",
    ...(isLarge ? ["from google.protobuf import json_format"] : []),
    "",
    `service = rpc.TensorOpsServiceStub(${channel}${options})`,
    ...request,
    `answer = service.${method}(request${hasToken ? ', metadata=[("authorization", "Bearer TOKEN")]' : ""})`,
    ...(clip
      ? ["print(answer.total_norm, answer.scale)", "for gradient in answer.gradients:", `    print(gradient.name, ${elements("gradient")})`]
      : [`print(${elements("answer.output")})`]),
  ].join("\n");
}

const scriptNumber = numbers({ nan: "NaN", inf: "Infinity" });

export function typescript(c) {
  const { method, field, parameters, tensors, isLarge, origin, hasToken } = c;
  const enums = new Set();
  const named = (type, value) => {
    enums.add(type);
    return `${type}.${value}`;
  };
  const tensor = ({ name, dtype, shape, values }, indent) => {
    const words = list(Array.from(values, scriptNumber), indent);
    const parts = name === "" ? [] : [`name: ${quoted(name)}`];
    if (dtype !== "float32") parts.push(`dtype: ${named("DataType", dtype.toUpperCase())}`);
    parts.push(`shape: [${shape.map((length) => `${length}n`).join(", ")}]`);
    parts.push(dtype === "float64" ? `data: new Uint8Array(new Float64Array(${words}).buffer)` : `floatData: ${words}`);
    return `{ ${parts.join(", ")} }`;
  };
  const value = ({ name, type, value: own }) => {
    if (type === "choice") return named(enumType(method, name), short(own));
    if (type === "integers") return `[${own.join(", ")}]`;
    if (type === "vector") return tensor(own, "  ");
    return typeof own === "bigint" ? `${own}n` : typeof own === "number" ? scriptNumber(own) : String(own);
  };
  const clip = field === "gradients";
  const lines = isLarge ? [] : parameters.map((parameter) => `  ${camel(parameter.name)}: ${value(parameter)},`);
  const all = isLarge ? [] : tensors.map((its) => tensor(its, clip ? "    " : "  "));
  const message = clip ? ["  gradients: [", ...all.map((text) => `    ${text},`), "  ],"] : [`  input: ${all[0]},`];
  const schema = isLarge ? [`${method}RequestSchema`] : [];
  const call = method[0].toLowerCase() + method.slice(1);
  const headers = hasToken ? `, { headers: { authorization: "Bearer TOKEN" } }` : "";
  return [
    "// npm install @connectrpc/connect @connectrpc/connect-node @bufbuild/protobuf",
    "// protoc-gen-es makes ./gen from the proto (`buf generate`, or protoc).",
    ...(isLarge ? [`import { readFileSync } from "node:fs";`, `import { fromJsonString } from "@bufbuild/protobuf";`] : []),
    `import { createClient } from "@connectrpc/connect";`,
    `import { createConnectTransport } from "@connectrpc/connect-node";`,
    `import { ${["TensorOpsService", ...schema, ...enums].join(", ")} } from "./gen/evenkeel/v1/tensor_ops_pb.js";`,
    "",
    `const transport = createConnectTransport({ baseUrl: "${origin}", httpVersion: "1.1" });`,
    "const client = createClient(TensorOpsService, transport);",
    ...(isLarge
      ? [
        `const request = fromJsonString(${method}RequestSchema, readFileSync("request.json", "utf8"));`,
        `const answer = await client.${call}(request${headers});`,
      ]
      : [`const answer = await client.${call}({`, ...lines, ...message, `}${headers});`]),
    clip ? "console.log(answer.totalNorm, answer.scale, answer.gradients);" : "console.log(answer.output);",
  ].join("\n");
}
