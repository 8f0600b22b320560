/**
 * The client of evenkeel: normalization, dropout and gradient clipping, with PyTorch's semantics,
 * computed by a server.
 *
 * <pre>{@code
 * try (Client client = Client.connect("127.0.0.1:50051")) {
 *   Tensor y = client.layerNorm(Tensor.of(floats, 256, 1024)).call().output();
 * }
 * }</pre>
 *
 * <p>A {@link dev.evenkeel.client.Client} makes calls; each is a builder whose options have the
 * server's defaults, and which ends in {@code call()} or {@code callAsync()}. All errors are {@link
 * dev.evenkeel.client.EvenkeelException}s.
 */
package dev.evenkeel.client;
