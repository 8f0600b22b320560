// Measures gradients and a row in two parts, as two workers would, and computes one part by the measures of both.
#include <cstdlib>
#include <evenkeel/evenkeel.hpp>
#include <iomanip>
#include <iostream>
#include <string_view>
#include <vector>

namespace {

/// Prints a name and numbers.
void show(std::string_view name, const auto& values) {
  std::cout << name << std::fixed << std::setprecision(7);
  for (const auto value : values) {
    std::cout << ' ' << value;
  }
  std::cout << '\n';
}

}  // namespace

int main() {
  const char* address = std::getenv("EVENKEEL_ADDRESS");
  const evenkeel::client client{address != nullptr ? address : "127.0.0.1:50051"};

  const std::vector<float> here{3};
  const std::vector<float> there{4};
  const auto sent_norm = client.measure_gradients({{"w", there}}).to_bytes();  // from the other worker
  auto norm = client.measure_gradients({{"w", here}});
  norm.merge(evenkeel::norm_partial::from_bytes(sent_norm));
  show("total_norm", std::vector{norm.total_norm()});
  std::cout << "elements " << norm.elements() << '\n';
  const auto clipped = client.clip_grad_norm({{"w", here}}, 1.0, {.total_norm = norm.total_norm()});
  show("clipped here", clipped["w"].as<float>());

  const std::vector<float> first{40000, 40001};
  const std::vector<float> second{40002, 40003};
  const auto layer = evenkeel::norm_kind::layer;
  const auto sent =
      client.measure_statistics(evenkeel::tensor(first, {1, 2}), layer).to_bytes();  // from the other worker
  auto statistics = client.measure_statistics(evenkeel::tensor(second, {1, 2}), layer);
  statistics.merge(evenkeel::statistics_partial::from_bytes(sent));
  show("normalized here", client.layer_norm(evenkeel::tensor(second, {1, 2}), {.statistics = statistics}).output);
}
