// Clips two gradients by their common norm and by value, and refuses those whose norm is infinite.
#include <cstdlib>
#include <evenkeel/evenkeel.hpp>
#include <iomanip>
#include <iostream>
#include <limits>
#include <span>
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
  const std::vector<float> w{3, 0};
  std::vector<float> b{0, 4};

  const auto clipped = client.clip_grad_norm({{"w", w}, {"b", b}}, 1.0);
  show("total_norm", std::vector{clipped.total_norm});
  show("scale", std::vector{clipped.scale});
  for (const auto& [name, gradient] : clipped.gradients) {
    show(name, gradient.as<float>());
  }

  const auto clamped = client.clip_grad_value({{"w", w}, {"b", b}}, 3.5);
  std::cout << "clipped_elements " << clamped.clipped_elements << '\n';
  for (const auto& [name, gradient] : clamped.gradients) {
    show(name, gradient.as<float>());
  }

  b[0] = std::numeric_limits<float>::infinity();
  try {
    (void)client.clip_grad_norm({{"w", w}, {"b", b}}, 1.0, {.error_if_nonfinite = true});
  } catch (const evenkeel::nonfinite_norm& fault) {
    std::cout << "skip this step:";
    for (const auto& [index, name] : fault.details().gradients) {
      std::cout << ' ' << name;
    }
    std::cout << '\n';
  }
}
