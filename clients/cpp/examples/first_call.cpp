// The shortest call: layer normalization of a row.
#include <cstdlib>
#include <evenkeel/evenkeel.hpp>
#include <iostream>
#include <vector>

int main() {
  const char* address = std::getenv("EVENKEEL_ADDRESS");
  const evenkeel::client client{address != nullptr ? address : "127.0.0.1:50051"};

  const std::vector<float> x{40000, 40001, 40002, 40003};
  const auto y = client.layer_norm(evenkeel::tensor(x, {1, 4}));

  for (const float value : y.output) {
    std::cout << value << ' ';  // -1.34164 -0.447212 0.447212 1.34164
  }
  std::cout << '\n';
}
