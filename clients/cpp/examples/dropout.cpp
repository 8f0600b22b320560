// Drops elements, computes the mask without the server, and drops a part and its gradient by the same draws.
#include <cstdlib>
#include <evenkeel/evenkeel.hpp>
#include <iomanip>
#include <iostream>
#include <span>
#include <string_view>
#include <vector>

namespace {

/// Prints a name and numbers.
void show(std::string_view name, const auto& values) {
  std::cout << name << std::fixed << std::setprecision(7);
  for (const float value : values) {
    std::cout << ' ' << value;
  }
  std::cout << '\n';
}

}  // namespace

int main() {
  const char* address = std::getenv("EVENKEEL_ADDRESS");
  const evenkeel::client client{address != nullptr ? address : "127.0.0.1:50051"};
  const std::vector<float> x(16, 1.0F);

  const auto dropped = client.dropout(evenkeel::tensor(x, {2, 8}), 0.3, {.seed = 42, .return_mask = true});
  show("output", dropped.output);
  std::cout << "kept " << dropped.kept << '\n';
  const bool same = dropped.mask == evenkeel::keep_mask(42, x.size(), 0.3);
  std::cout << "same mask " << (same ? "yes" : "no") << '\n';

  const auto second = std::span{x}.subspan(8);
  show("second row", client.dropout(evenkeel::tensor(second, {1, 8}), 0.3, {.seed = 42, .offset = 8}).output);
  const std::vector<float> grad_output{1, 2, 3, 4, 5, 6, 7, 8};
  show("grad_input", client.dropout_backward(evenkeel::tensor(grad_output, {1, 8}), 0.3, {.seed = 42, .offset = 8}));
}
