// The norm of gradients that lie on two machines, exactly that of all of them together.
#include <cstdlib>
#include <evenkeel/evenkeel.hpp>
#include <iostream>
#include <vector>

int main() {
  const char* address = std::getenv("EVENKEEL_ADDRESS");
  const evenkeel::client client{address != nullptr ? address : "127.0.0.1:50051"};

  const std::vector<float> here{3};
  const std::vector<float> there{4};
  auto norm = client.measure_gradients({{"w", here}});
  const std::vector<std::byte> sent = client.measure_gradients({{"w", there}}).to_bytes();  // from the other machine

  norm.merge(evenkeel::norm_partial::from_bytes(sent));
  const auto clipped = client.clip_grad_norm({{"w", here}}, 1.0, {.total_norm = norm.total_norm()});
  std::cout << "norm " << norm.total_norm() << ", here " << clipped["w"].as<float>()[0] << '\n';
}
