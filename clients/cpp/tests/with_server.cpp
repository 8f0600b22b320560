// Starts a server and runs a program with its address in EVENKEEL_ADDRESS: with_server PROGRAM.
#include <cstdlib>
#include <evenkeel/testing.hpp>
#include <exception>
#include <iostream>
#include <string>

int main(int count, char** arguments) {
  if (count != 2) {
    std::cerr << "usage: with_server PROGRAM\n";
    return 64;
  }
  try {
    const evenkeel::testing::server server;
    const std::string command = "EVENKEEL_ADDRESS='" + server.address() + "' '" + arguments[1] + "'";
    // NOLINTNEXTLINE(cert-env33-c): a test's own command
    const int status = std::system(command.c_str());
    return status == 0 ? 0 : 1;
  } catch (const std::exception& fault) {
    std::cerr << fault.what() << '\n';
    return 1;
  }
}
