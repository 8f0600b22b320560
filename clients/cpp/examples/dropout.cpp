// Dropout, and the mask of the same draws computed here.
#include <cstdlib>
#include <evenkeel/evenkeel.hpp>
#include <iostream>
#include <vector>

int main() {
  const char* address = std::getenv("EVENKEEL_ADDRESS");
  const evenkeel::client client{address != nullptr ? address : "127.0.0.1:50051"};

  const std::vector<float> x(16, 1.0F);
  const auto dropped = client.dropout(evenkeel::tensor(x, {2, 8}), 0.3, {.seed = 42, .return_mask = true});

  for (const float value : dropped.output) {
    std::cout << value << ' ';
  }
  std::cout << "kept " << dropped.kept << '\n';
  return dropped.mask == evenkeel::keep_mask(42, x.size(), 0.3) ? 0 : 1;
}
