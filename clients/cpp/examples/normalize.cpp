// Normalizes a row far from zero with a weight, and computes the gradients.
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
  for (const float value : values) {
    std::cout << ' ' << value;
  }
  std::cout << '\n';
}

}  // namespace

int main() {
  const char* address = std::getenv("EVENKEEL_ADDRESS");
  const evenkeel::client client{address != nullptr ? address : "127.0.0.1:50051"};
  const std::vector<float> x{40000, 40001, 40002, 40003};
  const std::vector<float> weight{1, 1, 1, 2};

  const auto y =
      client.layer_norm(evenkeel::tensor(x, {1, 4}), {.eps = 1e-6, .return_statistics = true, .weight = weight});
  show("output", y.output);
  show("mean", *y.mean);
  show("rstd", *y.rstd);

  const std::vector<float> grad_output{1, 0, 0, 0};
  const auto gradients = client.normalize_backward(evenkeel::tensor(x, {1, 4}), evenkeel::tensor(grad_output, {1, 4}),
                                                   evenkeel::norm_kind::layer, {.eps = 1e-6, .weight = weight});
  show("grad_input", gradients.grad_input);
  show("grad_weight", gradients.grad_weight->as<float>());
}
