package dev.evenkeel.client;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Optional;
import java.util.Properties;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The version of this client, and what it can tell of a server's. */
final class Version {
  /** The version of this client. */
  static final String CLIENT = read();

  private static final Pattern MAJOR_MINOR = Pattern.compile("(\\d{1,9})\\.(\\d{1,9})(\\..*)?");

  private Version() {}

  private static String read() {
    Properties properties = new Properties();
    try (InputStream input = Version.class.getResourceAsStream("version.properties")) {
      properties.load(input);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return properties.getProperty("version");
  }

  /**
   * What is to be said where a client of one version calls a server of another: nothing if they are
   * one minor apart at most.
   */
  static Optional<String> warning(String client, String server) {
    Matcher own = MAJOR_MINOR.matcher(client);
    Matcher other = MAJOR_MINOR.matcher(server);
    boolean fits =
        own.matches()
            && other.matches()
            && own.group(1).equals(other.group(1))
            && Math.abs(Long.parseLong(own.group(2)) - Long.parseLong(other.group(2))) <= 1;
    String message = "evenkeel's server has version " + server + " and this client " + client;
    return fits
        ? Optional.empty()
        : Optional.of(message + ": take versions that are at most one minor version apart");
  }
}
