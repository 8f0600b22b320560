// Addresses, versions and the settings of a client.
#include <gtest/gtest.h>

#include <evenkeel/evenkeel.hpp>

#include "rpc/address.hpp"
#include "version_check.hpp"

namespace {

std::string target(std::string_view text) { return evenkeel::rpc::parse_address(text).target; }

TEST(Address, OfEveryForm) {
  EXPECT_EQ(target("127.0.0.1:50051"), "127.0.0.1:50051");
  EXPECT_EQ(target("http://localhost:80/"), "localhost:80");
  EXPECT_EQ(target("http://[::1]"), "[::1]:80");
  EXPECT_EQ(target("[::1]:7"), "[::1]:7");
  EXPECT_EQ(target("https://example.com"), "example.com:443");
  EXPECT_EQ(target("unix:/tmp/socket"), "unix:/tmp/socket");
  EXPECT_TRUE(evenkeel::rpc::parse_address("https://example.com").encrypted);
  EXPECT_FALSE(evenkeel::rpc::parse_address("http://example.com").encrypted);
}

TEST(Address, RefusesOthers) {
  for (const char* text : {"", "localhost", "unix:", "http://", "ftp://localhost:1", "http://a:1/path", "a:b",
                           "a:", "user@host:1", "[::1]", "host:123456"}) {
    EXPECT_THROW((void)target(text), evenkeel::invalid_argument) << text;
  }
}

TEST(Version, FitsWithinOneMinor) {
  using evenkeel::detail::is_compatible;
  EXPECT_TRUE(is_compatible("0.1.0", "0.1.7"));
  EXPECT_TRUE(is_compatible("0.2.0", "0.1.0"));
  EXPECT_TRUE(is_compatible("0.2.0-rc.1", "0.3.0"));
  EXPECT_FALSE(is_compatible("0.3.0", "0.1.0"));
  EXPECT_FALSE(is_compatible("1.1.0", "0.1.0"));
  EXPECT_FALSE(is_compatible("", "0.1.0"));
  EXPECT_FALSE(is_compatible("new", "0.1.0"));
}

/// The field that the client refuses.
std::string refused(evenkeel::client_options options) {
  try {
    const evenkeel::client client{"127.0.0.1:1", std::move(options)};
  } catch (const evenkeel::invalid_argument& fault) {
    return fault.fields().at(0).path;
  }
  return {};
}

TEST(Settings, RefusesWhatCannotBeUsed) {
  EXPECT_EQ(refused({}), "");
  EXPECT_EQ(refused({.token = "a\nb"}), "token");
  EXPECT_EQ(refused({.timeout = std::chrono::seconds{-1}}), "timeout");
  EXPECT_EQ(refused({.connections = 0}), "connections");
  EXPECT_EQ(refused({.tls = {{.ca_file = "/nowhere/ca.pem"}}}), "tls.ca_file");
  EXPECT_EQ(refused({.tls = {{.cert_file = "cert.pem"}}}), "tls.key_file");
}

TEST(Errors, HaveNamesAndMessages) {
  const evenkeel::invalid_argument fault{"eps", "expected more"};
  EXPECT_STREQ(fault.what(), "INVALID_ARGUMENT: eps: expected more");
  EXPECT_EQ(evenkeel::to_string(evenkeel::status_code::unauthenticated), "UNAUTHENTICATED");
  EXPECT_EQ(evenkeel::to_string(evenkeel::status_code::ok), "OK");
}

}  // namespace
