package dev.evenkeel.client.internal.rpc;

import io.grpc.ConnectivityState;
import io.grpc.DecompressorRegistry;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.netty.shaded.io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.netty.channel.ChannelOption;
import io.grpc.netty.shaded.io.netty.channel.EventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.MultiThreadIoEventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.nio.NioIoHandler;
import io.grpc.netty.shaded.io.netty.channel.socket.nio.NioDomainSocketChannel;
import io.grpc.netty.shaded.io.netty.handler.ssl.SslContextBuilder;
import io.grpc.netty.shaded.io.netty.util.concurrent.DefaultThreadFactory;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * The connections of a client, which calls use in turn. A broken one is made anew by the next call
 * that uses it.
 */
public final class Channels implements AutoCloseable {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  /**
   * Room for the details of an error, which exceed gRPC's default of 8 KiB where many fields are
   * wrong.
   */
  private static final int METADATA_BYTES = 64 << 10;

  /**
   * So that the server does not wait for a window update within a chunk. gRPC's default grows to it
   * by and by.
   */
  private static final int WINDOW_BYTES = 4 << 20;

  private static final long CLOSE_SECONDS = 5;

  private final List<ManagedChannel> channels = new ArrayList<>();
  private final AtomicInteger calls = new AtomicInteger();
  private final String authorization;
  private EventLoopGroup sockets;

  /**
   * Prepares the connections; the first calls make them.
   *
   * @throws IOException if a file of TLS cannot be read or has something else
   */
  public Channels(Transport transport, String userAgent) throws IOException {
    this.authorization = transport.authorization();
    for (int connection = 0; connection < transport.connections(); connection++) {
      NettyChannelBuilder builder = builder(transport);
      channels.add(
          builder
              .userAgent(userAgent)
              // Responses are as long as requests: what the server sends is what was asked for.
              .maxInboundMessageSize(Integer.MAX_VALUE)
              .maxInboundMetadataSize(METADATA_BYTES)
              .flowControlWindow(WINDOW_BYTES)
              // The client retries by itself: gRPC's policies know no delays of the server, and
              // keep a copy of each message.
              .disableRetry()
              // Elements do not compress, and a message that is not compressed is read without a
              // copy.
              .decompressorRegistry(DecompressorRegistry.emptyInstance())
              // Messages are decoded where they arrive; programs' code runs on the executor of the
              // client.
              .directExecutor()
              .build());
    }
  }

  private NettyChannelBuilder builder(Transport transport) throws IOException {
    Address address = transport.address();
    if (address.path() != null) {
      if (sockets == null) {
        sockets =
            new MultiThreadIoEventLoopGroup(
                1, new DefaultThreadFactory("evenkeel", true), NioIoHandler.newFactory());
      }
      return NettyChannelBuilder.forAddress(UnixDomainSocketAddress.of(address.path()))
          .channelType(NioDomainSocketChannel.class, UnixDomainSocketAddress.class)
          .eventLoopGroup(sockets)
          // gRPC sets it for all sockets, and Netty would log a warning that these do not have it;
          // null removes it.
          .withOption(ChannelOption.SO_KEEPALIVE, null)
          .overrideAuthority("localhost")
          .usePlaintext();
    }
    NettyChannelBuilder builder = NettyChannelBuilder.forAddress(address.host(), address.port());
    if (!transport.encrypted()) {
      return builder.usePlaintext();
    }
    SslContextBuilder tls = GrpcSslContexts.forClient();
    try {
      if (transport.ca() != null) {
        tls.trustManager(transport.ca().toFile());
      }
      if (transport.certificate() != null) {
        tls.keyManager(transport.certificate().toFile(), transport.key().toFile());
      }
    } catch (IllegalArgumentException error) {
      throw new IOException(error.getMessage(), error);
    }
    if (transport.serverName() != null) {
      builder.overrideAuthority(transport.serverName());
    }
    return builder.useTransportSecurity().sslContext(tls.build());
  }

  /** The connection of the next call. */
  ManagedChannel next() {
    ManagedChannel channel = channels.get(Math.floorMod(calls.getAndIncrement(), channels.size()));
    if (channel.getState(false) == ConnectivityState.TRANSIENT_FAILURE) {
      // gRPC would refuse calls until its own delay is over; this way the call itself connects.
      channel.enterIdle();
    }
    return channel;
  }

  /** The headers of a call. */
  Metadata headers() {
    Metadata headers = new Metadata();
    if (authorization != null) {
      headers.put(AUTHORIZATION, authorization);
    }
    return headers;
  }

  /** Ends all calls, and waits some seconds for the connections to close. */
  @Override
  public void close() {
    channels.forEach(ManagedChannel::shutdownNow);
    try {
      for (ManagedChannel channel : channels) {
        channel.awaitTermination(CLOSE_SECONDS, TimeUnit.SECONDS);
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
    if (sockets != null) {
      sockets.shutdownGracefully(0, CLOSE_SECONDS, TimeUnit.SECONDS);
    }
  }
}
