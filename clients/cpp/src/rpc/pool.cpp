#include "rpc/pool.hpp"

#include <grpc/grpc.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <fstream>
#include <iterator>
#include <utility>

#include "evenkeel/errors.hpp"

namespace evenkeel::rpc {

namespace {

/// The longest frame that the server may send: larger ones than gRPC's 16 KiB make large answers cheaper to take apart.
constexpr int max_frame_bytes = 4 << 20;

std::string contents(const std::string& path, const char* setting) {
  if (path.empty()) {
    return {};
  }
  std::ifstream file{path, std::ios::binary};
  std::string text{std::istreambuf_iterator<char>{file}, {}};
  if (!file.good() || text.empty()) {
    throw invalid_argument{setting, "cannot read the file"};
  }
  return text;
}

std::shared_ptr<grpc::ChannelCredentials> credentials(const tls_options& tls) {
  if (tls.cert_file.empty() != tls.key_file.empty()) {
    throw invalid_argument{tls.cert_file.empty() ? "tls.cert_file" : "tls.key_file",
                           "expected a certificate and its key together"};
  }
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = contents(tls.ca_file, "tls.ca_file");
  options.pem_cert_chain = contents(tls.cert_file, "tls.cert_file");
  options.pem_private_key = contents(tls.key_file, "tls.key_file");
  return grpc::SslCredentials(options);
}

grpc::ChannelArguments arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  // The client retries by itself: gRPC's policy keeps copies of requests, and does not know the server's delays.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // Channels of the same address would share a connection else.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, max_frame_bytes);
  return arguments;
}

}  // namespace

pool::pool(const address& address, const client_options& options) {
  grpc::ChannelArguments settings = arguments();
  if (address.target.starts_with("unix:")) {
    // gRPC would send the path as the name of the host, which is none.
    settings.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  }
  if (options.connections == 0 || options.connections > 1024) {
    throw invalid_argument{"connections", "expected 1 to 1024"};
  }
  std::shared_ptr<grpc::ChannelCredentials> security = grpc::InsecureChannelCredentials();
  if (address.encrypted || options.tls) {
    const tls_options tls = options.tls.value_or(tls_options{});
    security = credentials(tls);
    if (!tls.server_name.empty()) {
      settings.SetSslTargetNameOverride(tls.server_name);
    }
  }
  for (std::size_t index = 0; index < options.connections; ++index) {
    channels_.push_back(grpc::CreateCustomChannel(address.target, security, settings));
  }
}

std::shared_ptr<grpc::Channel> pool::next() {
  const std::lock_guard lock{mutex_};
  return channels_[calls_++ % channels_.size()];
}

void pool::reconnect() {
  const std::lock_guard lock{mutex_};
  for (const auto& channel : channels_) {
    (void)channel->GetState(true);
  }
}

}  // namespace evenkeel::rpc
