package dev.evenkeel.client;

import dev.evenkeel.v1.DataType;
import dev.evenkeel.v1.GetServerInfoResponse;
import java.util.List;
import java.util.Objects;

/**
 * A server's version, limits and capabilities.
 *
 * @param version the version under Semantic Versioning, such as {@code 0.1.0}
 * @param maxMessageBytes the longest message that the server accepts or sends, in bytes
 * @param maxStreamChunkBytes the longest piece of a tensor in a stream, in bytes; 0: the server
 *     streams no tensors
 * @param dtypes the element types that the server computes on
 * @param kinds the normalizations that the server computes
 * @param compression the compression methods that the server accepts, by gRPC's names
 */
public record ServerInfo(
    String version,
    long maxMessageBytes,
    long maxStreamChunkBytes,
    List<DType> dtypes,
    List<NormKind> kinds,
    List<String> compression) {
  /** What a response says. Types and kinds that this client does not know are left out. */
  static ServerInfo of(GetServerInfoResponse response) {
    List<DType> dtypes =
        response.getDtypesList().stream()
            .filter(
                dtype -> dtype != DataType.UNRECOGNIZED && dtype != DataType.DATA_TYPE_UNSPECIFIED)
            .map(DType::of)
            .toList();
    List<NormKind> kinds =
        response.getNormKindsList().stream().map(NormKind::of).filter(Objects::nonNull).toList();
    return new ServerInfo(
        response.getVersion(),
        response.getMaxMessageBytes(),
        response.getMaxStreamChunkBytes(),
        dtypes,
        kinds,
        List.copyOf(response.getCompressionList()));
  }
}
