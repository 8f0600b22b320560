// Layer normalization with options, and the statistics that it used.
#include <cstdlib>
#include <evenkeel/evenkeel.hpp>
#include <iostream>
#include <vector>

using namespace std::chrono_literals;

int main() {
  const char* address = std::getenv("EVENKEEL_ADDRESS");
  const evenkeel::client client{address != nullptr ? address : "127.0.0.1:50051"};

  const std::vector<float> x{40000, 40001, 40002, 40003};
  const std::vector<float> weight{1, 1, 1, 2};
  try {
    const auto y = client.layer_norm(evenkeel::tensor(x, {1, 4}),
                                     {.eps = 1e-6, .return_statistics = true, .weight = weight, .timeout = 5s});
    for (const float value : y.output) {
      std::cout << value << ' ';
    }
    std::cout << "of mean " << (*y.mean)[0] << '\n';
  } catch (const evenkeel::invalid_argument& fault) {
    for (const auto& [path, description] : fault.fields()) {
      std::cerr << path << ": " << description << '\n';
    }
    return 1;
  }
}
