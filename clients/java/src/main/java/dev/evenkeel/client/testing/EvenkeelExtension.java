package dev.evenkeel.client.testing;

import dev.evenkeel.client.Client;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ExtensionContext.Namespace;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;

/**
 * An extension of JUnit 5 that gives tests a server, or a client of it. One server serves all tests
 * of a run, and is stopped after the last, also if tests fail. Programs that use it have JUnit
 * among their own dependencies.
 *
 * <pre>{@code
 * @ExtendWith(EvenkeelExtension.class)
 * class NetworkTest {
 *   @Test
 *   void normalizes(Client client) { ... }
 * }
 * }</pre>
 */
public final class EvenkeelExtension implements ParameterResolver {
  private static final Namespace NAMESPACE = Namespace.create(EvenkeelExtension.class);

  /** Made by JUnit. */
  public EvenkeelExtension() {}

  /** A server and a client of it, which JUnit closes. */
  private record Pair(TestServer server, Client client) implements AutoCloseable {
    static Pair start() {
      TestServer server = TestServer.start();
      return new Pair(server, Client.connect(server.address()));
    }

    @Override
    public void close() {
      client.close();
      server.close();
    }
  }

  /**
   * Whether the parameter is a {@link TestServer} or a {@link Client}.
   *
   * @param parameter the parameter
   * @param context the test
   * @return true if it is
   */
  @Override
  public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
    Class<?> type = parameter.getParameter().getType();
    return type == TestServer.class || type == Client.class;
  }

  /**
   * The server, or the client. The first parameter of a run starts them.
   *
   * @param parameter the parameter
   * @param context the test
   * @return a {@link TestServer} or a {@link Client}
   */
  @Override
  public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
    Pair pair =
        context
            .getRoot()
            .getStore(NAMESPACE)
            .getOrComputeIfAbsent(Pair.class, none -> Pair.start(), Pair.class);
    return parameter.getParameter().getType() == Client.class ? pair.client : pair.server;
  }
}
