// The adapter of conformance/README.md: calls the client's public functions as the lines on standard input ask.
#include <condition_variable>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "operations.hpp"

namespace {

using conformance::json;

/// A client, and whether it has warned of the server's version.
struct connection {
  std::unique_ptr<evenkeel::client> client;
  std::unique_ptr<bool> has_warned = std::make_unique<bool>(false);
};

connection connect(const json& settings) {
  connection made;
  evenkeel::client_options options{.token = settings.value("token", std::string{}),
                                   .connections = settings.value("connections", std::size_t{1}),
                                   .warn = [flag = made.has_warned.get()](std::string_view) { *flag = true; }};
  if (settings.contains("ca") || settings.contains("cert")) {
    options.tls = evenkeel::tls_options{.ca_file = settings.value("ca", std::string{}),
                                        .cert_file = settings.value("cert", std::string{}),
                                        .key_file = settings.value("key", std::string{}),
                                        .server_name = settings.value("server_name", std::string{})};
  }
  made.client = std::make_unique<evenkeel::client>(settings.at("address").get<std::string>(), std::move(options));
  return made;
}

json error_of(const evenkeel::error& fault) {
  json value{{"code", evenkeel::to_string(fault.code())},
             {"reason", fault.reason().empty() ? json(nullptr) : json(fault.reason())},
             {"message", fault.what()},
             {"fields", json::array()},
             {"retry_after_ms", nullptr}};
  if (const auto* invalid = dynamic_cast<const evenkeel::invalid_argument*>(&fault)) {
    for (const auto& [path, description] : invalid->fields()) {
      value["fields"].push_back(path);
    }
  } else if (const auto* busy = dynamic_cast<const evenkeel::overloaded*>(&fault);
             busy != nullptr && busy->retry_after()) {
    value["retry_after_ms"] = std::chrono::duration_cast<std::chrono::milliseconds>(*busy->retry_after()).count();
  } else if (const auto* norm = dynamic_cast<const evenkeel::nonfinite_norm*>(&fault)) {
    const evenkeel::nonfinite& details = norm->details();
    value["norm"] = {{"total_norm", conformance::from_double(details.total_norm)},
                     {"nan_elements", std::to_string(details.nan_elements)},
                     {"infinite_elements", std::to_string(details.infinite_elements)},
                     {"nonfinite_gradients", std::to_string(details.nonfinite_gradients)},
                     {"gradients", json::object()}};
    for (const auto& [index, name] : details.gradients) {
      value["norm"]["gradients"][std::to_string(index)] = name;
    }
  }
  return value;
}

json answer_to(const json& request, std::map<std::string, connection>& connections) {
  const auto connected = [&]() -> connection& {
    const json& settings = request.at("client");
    const auto [place, is_new] = connections.try_emplace(settings.dump());
    if (is_new) {
      place->second = connect(settings);
    }
    return place->second;
  };
  conformance::call call{.client = [&]() -> const evenkeel::client& { return *connected().client; },
                         .has_warned = [&] { return *connected().has_warned; },
                         .digest = request.value("digest", false)};
  if (request.contains("timeout_ms")) {
    call.timeout = std::chrono::milliseconds{request.at("timeout_ms").get<std::int64_t>()};
  }
  std::stop_source stop;
  std::jthread canceller;
  if (request.contains("cancel_after_ms")) {
    call.stop = stop.get_token();
    canceller =
        std::jthread{[&stop, delay = std::chrono::milliseconds{request.at("cancel_after_ms").get<std::int64_t>()}](
                         const std::stop_token& answered) {
          std::mutex mutex;
          std::unique_lock lock{mutex};
          std::condition_variable_any().wait_for(lock, answered, delay, [] { return false; });
          if (!answered.stop_requested()) {
            stop.request_stop();
          }
        }};
  }
  try {
    return {{"result", run(request.at("op").get<std::string>(), request.value("args", json::object()), call)}};
  } catch (const conformance::unsupported& gap) {
    return {{"unsupported", gap.what()}};
  } catch (const evenkeel::error& fault) {
    return {{"error", error_of(fault)}};
  }
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): a line that is no request ends the program, and the runner shows why
int main() {
  std::map<std::string, connection> connections;
  for (std::string line; std::getline(std::cin, line);) {
    const json request = json::parse(line);
    json answer = answer_to(request, connections);
    answer["id"] = request.at("id");
    std::cout << answer.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
  }
}
