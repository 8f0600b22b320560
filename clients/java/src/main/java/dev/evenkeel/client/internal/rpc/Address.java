package dev.evenkeel.client.internal.rpc;

import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.Locale;

/**
 * Where a server listens.
 *
 * @param host the host, of IPv6 without brackets; null for a Unix domain socket
 * @param port the port
 * @param path the path of a Unix domain socket; else null
 * @param encrypted whether the scheme is https
 */
public record Address(String host, int port, Path path, boolean encrypted) {
  private static final int DEFAULT_PORT = 50051;

  /**
   * Reads {@code host:port}, {@code http://host:port}, {@code https://host:port} or {@code
   * unix:/path}.
   *
   * @throws IllegalArgumentException with the reason, for anything else
   */
  public static Address parse(String text) {
    if (text.regionMatches(true, 0, "unix:", 0, 5)) {
      String path = text.substring(5).replaceFirst("^//(?=/)", "");
      if (path.isEmpty()) {
        throw new IllegalArgumentException("unix: needs a path: unix:/run/evenkeel.sock");
      }
      return new Address(null, 0, Path.of(path), false);
    }
    boolean hasScheme = text.contains("://");
    String scheme =
        hasScheme ? text.substring(0, text.indexOf("://")).toLowerCase(Locale.ROOT) : "http";
    if (!scheme.equals("http") && !scheme.equals("https")) {
      throw new IllegalArgumentException("expected http, https or unix, got the scheme " + scheme);
    }
    URI uri;
    try {
      uri = new URI(hasScheme ? text : "http://" + text);
    } catch (URISyntaxException error) {
      throw new IllegalArgumentException(error.getMessage(), error);
    }
    boolean hasMore =
        uri.getRawQuery() != null || uri.getRawFragment() != null || uri.getRawUserInfo() != null;
    if (uri.getHost() == null
        || hasMore
        || !(uri.getRawPath().isEmpty() || uri.getRawPath().equals("/"))) {
      throw new IllegalArgumentException(
          "expected host:port, http://host:port, https://host:port or unix:/path");
    }
    String host = uri.getHost().replaceAll("^\\[|\\]$", "");
    return new Address(
        host, uri.getPort() < 0 ? DEFAULT_PORT : uri.getPort(), null, scheme.equals("https"));
  }

  /** Whether it is on this machine, so that what is sent leaves it for none. */
  public boolean isLocal() {
    return path != null
        || host.equalsIgnoreCase("localhost")
        || host.matches("127(\\.\\d{1,3}){3}")
        || host.equals("::1")
        || host.equals("0:0:0:0:0:0:0:1");
  }
}
