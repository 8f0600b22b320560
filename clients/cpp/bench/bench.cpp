// The client beside the generated stub with the shortest correct code of a user, in turns: layer normalization of rows
// of 1024 float32. Prints a JSON object for each size. Usage: bench BINARY, the server's program; or EVENKEEL_ADDRESS
// names a server that runs already, which must take messages of more than 64 MiB. EVENKEEL_BENCH_SCALE is a factor for
// the number of rounds, such as 0.1.
#include <evenkeel/v1/tensor_ops.grpc.pb.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <evenkeel/evenkeel.hpp>
#include <evenkeel/testing.hpp>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace pb = evenkeel::v1;

constexpr std::size_t row = 1024;
/// The stub cannot stream by itself, so that messages must be as long as the largest tensor.
constexpr const char* max_message_bytes = "134217728";

std::vector<float> by_client(const evenkeel::client& client, const std::vector<float>& x, std::int64_t rows) {
  std::vector<float> y(x.size());
  (void)client.layer_norm(evenkeel::tensor(x, {rows, row}), {.into = y});
  return y;
}

std::vector<float> by_stub(pb::TensorOpsService::Stub& stub, const std::vector<float>& x, std::int64_t rows) {
  pb::NormalizeRequest request;
  request.set_kind(pb::NORM_KIND_LAYER);
  pb::Tensor& input = *request.mutable_input();
  input.set_dtype(pb::DATA_TYPE_FLOAT32);
  input.add_shape(rows);
  input.add_shape(row);
  input.set_data(x.data(), x.size() * sizeof(float));
  grpc::ClientContext context;
  pb::NormalizeResponse response;
  const grpc::Status status = stub.Normalize(&context, request, &response);
  if (!status.ok()) {
    throw std::runtime_error{status.error_message()};
  }
  std::vector<float> y(x.size());
  std::memcpy(y.data(), response.output().data().data(), response.output().data().size());
  return y;
}

template <class Call>
double seconds(const Call& call) {
  const auto began = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>{std::chrono::steady_clock::now() - began}.count();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void compare(const evenkeel::client& client, pb::TensorOpsService::Stub& stub, std::size_t bytes, double scale) {
  std::vector<float> x(bytes / sizeof(float));
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(i * 2654435761U % 1000);
  }
  const auto rows = static_cast<std::int64_t>(x.size() / row);
  if (by_client(client, x, rows) != by_stub(stub, x, rows)) {  // also the first calls, which connect
    throw std::runtime_error{"the two do not agree"};
  }
  const std::size_t all = std::clamp<std::size_t>((std::size_t{512} << 20) / bytes, 9, 300);
  const auto rounds = std::max<std::size_t>(1, static_cast<std::size_t>(scale * static_cast<double>(all)));
  std::vector<double> of_client;
  std::vector<double> of_stub;
  for (std::size_t round = 0; round < rounds; ++round) {
    of_client.push_back(seconds([&] { (void)by_client(client, x, rows); }));
    of_stub.push_back(seconds([&] { (void)by_stub(stub, x, rows); }));
  }
  const double client_seconds = median(of_client);
  const double stub_seconds = median(of_stub);
  std::cout << R"({"bytes": )" << bytes << R"(, "client_seconds": )" << client_seconds << R"(, "stub_seconds": )"
            << stub_seconds << R"(, "ratio": )" << stub_seconds / client_seconds << "}" << std::endl;
}

void run(const std::string& binary) {
  const char* named = std::getenv("EVENKEEL_ADDRESS");
  const char* scale = std::getenv("EVENKEEL_BENCH_SCALE");
  std::optional<evenkeel::testing::server> server;
  if (named == nullptr) {
    server.emplace(
        evenkeel::testing::server_options{.binary = binary, .arguments = {"--max-message-bytes", max_message_bytes}});
  }
  const std::string address = named != nullptr ? named : server->address();
  const evenkeel::client client{address};
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  const auto stub =
      pb::TensorOpsService::NewStub(grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  for (const std::size_t bytes :
       {std::size_t{4} << 10, std::size_t{256} << 10, std::size_t{4} << 20, std::size_t{64} << 20}) {
    compare(client, *stub, bytes, scale != nullptr ? std::stod(scale) : 1.0);
  }
}

}  // namespace

int main(int count, char** arguments) {
  try {
    run(count > 1 ? arguments[1] : "");
  } catch (const std::exception& fault) {
    std::cerr << fault.what() << '\n';
    return 1;
  }
}
