// Gradients clipped to a norm over all of them.
#include <cstdlib>
#include <evenkeel/evenkeel.hpp>
#include <iostream>
#include <vector>

int main() {
  const char* address = std::getenv("EVENKEEL_ADDRESS");
  const evenkeel::client client{address != nullptr ? address : "127.0.0.1:50051"};

  const std::vector<float> w{3, 0};
  const std::vector<float> b{0, 4};
  const auto clipped = client.clip_grad_norm({{"w", w}, {"b", b}}, 1.0);

  std::cout << "norm " << clipped.total_norm << '\n';
  for (const auto& [name, tensor] : clipped.gradients) {
    std::cout << name;
    for (const float value : tensor.as<float>()) {
      std::cout << ' ' << value;
    }
    std::cout << '\n';
  }
}
