package dev.evenkeel.client.conformance;

import com.google.gson.JsonObject;
import dev.evenkeel.client.Client;
import dev.evenkeel.client.ClientBuilder;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/** A client for each distinct setting. */
final class Clients implements AutoCloseable {
  private static final Logger LOGGER = Logger.getLogger("dev.evenkeel.client");

  private final Map<JsonObject, Client> clients = new HashMap<>();
  private final AtomicInteger warnings = new AtomicInteger();

  Clients() {
    LOGGER.addHandler(
        new Handler() {
          @Override
          public void publish(LogRecord message) {
            warnings.incrementAndGet();
          }

          @Override
          public void flush() {}

          @Override
          public void close() {}
        });
  }

  /** How often a client has warned so far. */
  int warnings() {
    return warnings.get();
  }

  Client get(JsonObject settings) {
    return clients.computeIfAbsent(settings, Clients::make);
  }

  private static Client make(JsonObject settings) {
    ClientBuilder builder = Client.builder(settings.get("address").getAsString());
    if (settings.has("token")) {
      builder.token(settings.get("token").getAsString());
    }
    if (settings.has("ca")) {
      builder.ca(Path.of(settings.get("ca").getAsString()));
    }
    if (settings.has("cert")) {
      builder.certificate(
          Path.of(settings.get("cert").getAsString()), Path.of(settings.get("key").getAsString()));
    }
    if (settings.has("server_name")) {
      builder.serverName(settings.get("server_name").getAsString());
    }
    if (settings.has("connections")) {
      builder.connections(settings.get("connections").getAsInt());
    }
    return builder.build();
  }

  @Override
  public void close() {
    clients.values().forEach(Client::close);
  }
}
