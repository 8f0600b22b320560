// The call in Java and C++.

import { DTYPES } from "./numbers.js";
import { camel, enumType } from "./operations.js";
import { list, numbers, pointed, quoted } from "./literals.js";

const pascal = (name) => camel(`_${name}`);

const javaDouble = numbers({ nan: "Double.NaN", inf: "Double.POSITIVE_INFINITY", negative: "Double.NEGATIVE_INFINITY" });
const javaFloat = numbers({ nan: "Float.NaN", inf: "Float.POSITIVE_INFINITY", negative: "Float.NEGATIVE_INFINITY", write: (text) => `${text}f` });
const LARGEST_LONG = 2n ** 63n - 1n;

export function java(c) {
  const { method, field, parameters, tensors, isLarge, host, secure, hasToken } = c;
  let hasBytes = false;
  const tensor = ({ name, dtype, shape, values }, indent) => {
    const parts = [".newBuilder()"];
    if (name !== "") parts.push(`.setName(${quoted(name)})`);
    if (dtype !== "float32") parts.push(`.setDtype(DataType.${DTYPES[dtype].wire})`);
    parts.push(`.addAllShape(List.of(${shape.map((length) => `${length}L`).join(", ")}))`);
    if (dtype === "float64") {
      hasBytes = true;
      parts.push(`.setData(${list(Array.from(values, (x) => pointed(javaDouble(x))), indent, "littleEndian(", ")")})`);
    } else {
      parts.push(`.addAllFloatData(${list(Array.from(values, javaFloat), indent, "List.of(", ")")})`);
    }
    return `Tensor${parts.join("")}.build()`;
  };
  const setter = ({ name, type, value }) => {
    const set = `.set${pascal(name)}`;
    if (type === "choice") return `${set}(${enumType(method, name)}.${value})`;
    if (type === "integers") return `.addAll${pascal(name)}(List.of(${value.join(", ")}))`;
    if (type === "vector") return `${set}(${tensor(value, "        ")})`;
    if (type === "number") return `${set}(${javaDouble(value)})`;
    if (typeof value === "bigint") return `${set}(${value > LARGEST_LONG ? `Long.parseUnsignedLong("${value}")` : `${value}L`})`;
    return `${set}(${value})`;
  };
  const add = field === "gradients" ? ".addGradients" : ".setInput";
  const lines = isLarge ? [] : [...parameters.map(setter), ...tensors.map((its) => `${add}(${tensor(its, "        ")})`)];
  const request = isLarge
    ? [
      `    ${method}Request.Builder builder = ${method}Request.newBuilder();`,
      `    JsonFormat.parser().merge(Files.newBufferedReader(Path.of("request.json")), builder);`,
      `    ${method}Request request = builder.build();`,
    ]
    : [`    ${method}Request request = ${method}Request.newBuilder()`, ...lines.map((line) => `        ${line}`), "        .build();"];
  const imports = [
    ...(hasBytes ? ["com.google.protobuf.ByteString"] : []),
    ...(isLarge ? ["com.google.protobuf.util.JsonFormat"] : []),
    "dev.evenkeel.v1.*", "io.grpc.*",
    ...(hasToken ? ["io.grpc.stub.MetadataUtils"] : []),
    ...(hasBytes ? ["java.nio.ByteBuffer", "java.nio.ByteOrder"] : []),
    ...(isLarge ? ["java.nio.file.Files", "java.nio.file.Path"] : ["java.util.List"]),
  ];
  const credentials = secure ? "TlsChannelCredentials" : "InsecureChannelCredentials";
  const larger = isLarge ? ".maxInboundMessageSize(64 << 20)" : "";
  const stub = `TensorOpsServiceGrpc.newBlockingStub(channel)${hasToken ? ".withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))" : ""}`;
  const call = method[0].toLowerCase() + method.slice(1);
  return [
    "// The protobuf plugin of Gradle or Maven makes dev.evenkeel.v1 from the proto; io.grpc: grpc-netty-shaded, grpc-protobuf, grpc-stub.",
    ...imports.map((name) => `import ${name};`),
    "", "public class Call {",
    ...(hasBytes
      ? [
        "  static ByteString littleEndian(double... values) {",
        "    ByteBuffer buffer = ByteBuffer.allocate(Double.BYTES * values.length).order(ByteOrder.LITTLE_ENDIAN);",
        "    buffer.asDoubleBuffer().put(values);",
        "    return ByteString.copyFrom(buffer);",
        "  }", "",
      ]
      : []),
    `  public static void main(String[] arguments)${isLarge ? " throws java.io.IOException" : ""} {`,
    `    ManagedChannel channel = Grpc.newChannelBuilder("${host}", ${credentials}.create())${larger}.build();`,
    ...(hasToken
      ? ["    Metadata headers = new Metadata();", `    headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer TOKEN");`]
      : []),
    ...request,
    `    ${method}Response answer = ${stub}.${call}(request);`,
    `    System.out.println(answer);`,
    "    channel.shutdown();", "  }", "}",
  ].join("\n");
}

export function cpp(c) {
  const { method, field, parameters, tensors, isLarge, host, secure, hasToken } = c;
  const headers = new Set(["iostream"]);
  const special = (write) => numbers({ nan: "NAN", inf: "INFINITY", write });
  const written = (value, write) => {
    if (!Number.isFinite(value)) headers.add("cmath");
    return special(write)(value);
  };
  const double = (value) => written(value, pointed);
  const float = (value) => written(value, (text) => `${pointed(text)}f`);
  let blocks = 0;
  const tensor = ({ name, dtype, shape, values }, target) => {
    blocks += 1;
    const its = `t${blocks}`;
    const lines = [`  ek::Tensor* ${its} = request.${target}();`];
    if (name !== "") lines.push(`  ${its}->set_name(${quoted(name)});`);
    if (dtype !== "float32") lines.push(`  ${its}->set_dtype(ek::${DTYPES[dtype].wire});`);
    if (shape.length > 0) lines.push(`  for (long length : {${shape.map((length) => `${length}L`).join(", ")}}) ${its}->add_shape(length);`);
    if (dtype === "float64") {
      headers.add("vector");
      lines.push(`  const std::vector<double> v${blocks}${list(Array.from(values, double), "  ", "{", "}")};`);
      lines.push(`  ${its}->set_data(v${blocks}.data(), sizeof(double) * v${blocks}.size());`);
    } else if (values.length > 0) {
      lines.push(`  for (float x : ${list(Array.from(values, float), "  ", "{", "}")}) ${its}->add_float_data(x);`);
    }
    return lines;
  };
  const setter = ({ name, type, value }) => {
    if (type === "choice") return [`  request.set_${name}(ek::${value});`];
    if (type === "integers") return value.map((axis) => `  request.add_${name}(${axis});`);
    if (type === "vector") return tensor(value, `mutable_${name}`);
    if (typeof value === "bigint") return [`  request.set_${name}(${value}u);`];
    return [`  request.set_${name}(${type === "number" ? double(value) : value});`];
  };
  const target = field === "gradients" ? "add_gradients" : "mutable_input";
  const lines = isLarge
    ? [
      `  std::ifstream file("request.json");`,
      "  const std::string json(std::istreambuf_iterator<char>(file), {});",
      "  if (!google::protobuf::util::JsonStringToMessage(json, &request).ok()) return 1;",
    ]
    : [...parameters.flatMap(setter), ...tensors.flatMap((its) => tensor(its, target))];
  if (isLarge) ["fstream", "iterator", "string"].forEach((name) => headers.add(name));
  const credentials = secure ? "SslCredentials({})" : "InsecureChannelCredentials()";
  const channel = isLarge
    ? [
      "  grpc::ChannelArguments arguments;", "  arguments.SetMaxReceiveMessageSize(64 << 20);",
      `  auto channel = grpc::CreateCustomChannel("${host}", grpc::${credentials}, arguments);`,
    ]
    : [`  auto channel = grpc::CreateChannel("${host}", grpc::${credentials});`];
  return [
    "// protoc with grpc_cpp_plugin makes the headers from the proto; link with grpc++ and protobuf.",
    ...[...headers].sort().map((name) => `#include <${name}>`), "", "#include <grpcpp/grpcpp.h>",
    ...(isLarge ? ["#include <google/protobuf/util/json_util.h>"] : []), `#include "evenkeel/v1/tensor_ops.grpc.pb.h"`,
    "", "namespace ek = evenkeel::v1;", "", "int main() {", ...channel,
    "  auto stub = ek::TensorOpsService::NewStub(channel);",
    `  ek::${method}Request request;`, ...lines,
    "  grpc::ClientContext context;",
    ...(hasToken ? [`  context.AddMetadata("authorization", "Bearer TOKEN");`] : []),
    `  ek::${method}Response answer;`,
    `  const grpc::Status status = stub->${method}(&context, request, &answer);`,
    "  if (!status.ok()) {", "    std::cerr << status.error_message() << '\\n';", "    return 1;", "  }",
    "  std::cout << answer.DebugString();", "}",
  ].join("\n");
}
