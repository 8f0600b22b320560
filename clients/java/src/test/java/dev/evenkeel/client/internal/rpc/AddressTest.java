package dev.evenkeel.client.internal.rpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class AddressTest {
  @ParameterizedTest
  @CsvSource({
    "127.0.0.1:50052, 127.0.0.1, 50052, false, true",
    "localhost, localhost, 50051, false, true",
    "http://[::1]:7, ::1, 7, false, true",
    "https://example.com:443, example.com, 443, true, false",
    "HTTP://10.0.0.1:1/, 10.0.0.1, 1, false, false",
    "127.0.0.1.example.com:1, 127.0.0.1.example.com, 1, false, false"
  })
  void hostsAndPorts(String text, String host, int port, boolean encrypted, boolean local) {
    Address address = Address.parse(text);
    assertEquals(new Address(host, port, null, encrypted), address);
    assertEquals(local, address.isLocal());
  }

  @Test
  void sockets() {
    Path path = Path.of("/run/evenkeel.sock");
    assertEquals(path, Address.parse("unix:/run/evenkeel.sock").path());
    assertEquals(path, Address.parse("unix:///run/evenkeel.sock").path());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "unix:",
        "ftp://host:1",
        "http://a@host:1",
        "http://host:1/path",
        "not a url",
        "host:port"
      })
  void othersAreRefused(String text) {
    assertThrows(IllegalArgumentException.class, () -> Address.parse(text));
  }
}
