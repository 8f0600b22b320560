package dev.evenkeel.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Normalization, dropout and gradient clipping, with PyTorch's semantics.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class TensorOpsServiceGrpc {

  private TensorOpsServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "evenkeel.v1.TensorOpsService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<dev.evenkeel.v1.NormalizeRequest,
      dev.evenkeel.v1.NormalizeResponse> getNormalizeMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Normalize",
      requestType = dev.evenkeel.v1.NormalizeRequest.class,
      responseType = dev.evenkeel.v1.NormalizeResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.evenkeel.v1.NormalizeRequest,
      dev.evenkeel.v1.NormalizeResponse> getNormalizeMethod() {
    io.grpc.MethodDescriptor<dev.evenkeel.v1.NormalizeRequest, dev.evenkeel.v1.NormalizeResponse> getNormalizeMethod;
    if ((getNormalizeMethod = TensorOpsServiceGrpc.getNormalizeMethod) == null) {
      synchronized (TensorOpsServiceGrpc.class) {
        if ((getNormalizeMethod = TensorOpsServiceGrpc.getNormalizeMethod) == null) {
          TensorOpsServiceGrpc.getNormalizeMethod = getNormalizeMethod =
              io.grpc.MethodDescriptor.<dev.evenkeel.v1.NormalizeRequest, dev.evenkeel.v1.NormalizeResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Normalize"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.NormalizeRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.NormalizeResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TensorOpsServiceMethodDescriptorSupplier("Normalize"))
              .build();
        }
      }
    }
    return getNormalizeMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.evenkeel.v1.NormalizeBackwardRequest,
      dev.evenkeel.v1.NormalizeBackwardResponse> getNormalizeBackwardMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "NormalizeBackward",
      requestType = dev.evenkeel.v1.NormalizeBackwardRequest.class,
      responseType = dev.evenkeel.v1.NormalizeBackwardResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.evenkeel.v1.NormalizeBackwardRequest,
      dev.evenkeel.v1.NormalizeBackwardResponse> getNormalizeBackwardMethod() {
    io.grpc.MethodDescriptor<dev.evenkeel.v1.NormalizeBackwardRequest, dev.evenkeel.v1.NormalizeBackwardResponse> getNormalizeBackwardMethod;
    if ((getNormalizeBackwardMethod = TensorOpsServiceGrpc.getNormalizeBackwardMethod) == null) {
      synchronized (TensorOpsServiceGrpc.class) {
        if ((getNormalizeBackwardMethod = TensorOpsServiceGrpc.getNormalizeBackwardMethod) == null) {
          TensorOpsServiceGrpc.getNormalizeBackwardMethod = getNormalizeBackwardMethod =
              io.grpc.MethodDescriptor.<dev.evenkeel.v1.NormalizeBackwardRequest, dev.evenkeel.v1.NormalizeBackwardResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "NormalizeBackward"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.NormalizeBackwardRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.NormalizeBackwardResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TensorOpsServiceMethodDescriptorSupplier("NormalizeBackward"))
              .build();
        }
      }
    }
    return getNormalizeBackwardMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.evenkeel.v1.DropoutRequest,
      dev.evenkeel.v1.DropoutResponse> getDropoutMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Dropout",
      requestType = dev.evenkeel.v1.DropoutRequest.class,
      responseType = dev.evenkeel.v1.DropoutResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.evenkeel.v1.DropoutRequest,
      dev.evenkeel.v1.DropoutResponse> getDropoutMethod() {
    io.grpc.MethodDescriptor<dev.evenkeel.v1.DropoutRequest, dev.evenkeel.v1.DropoutResponse> getDropoutMethod;
    if ((getDropoutMethod = TensorOpsServiceGrpc.getDropoutMethod) == null) {
      synchronized (TensorOpsServiceGrpc.class) {
        if ((getDropoutMethod = TensorOpsServiceGrpc.getDropoutMethod) == null) {
          TensorOpsServiceGrpc.getDropoutMethod = getDropoutMethod =
              io.grpc.MethodDescriptor.<dev.evenkeel.v1.DropoutRequest, dev.evenkeel.v1.DropoutResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Dropout"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.DropoutRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.DropoutResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TensorOpsServiceMethodDescriptorSupplier("Dropout"))
              .build();
        }
      }
    }
    return getDropoutMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.evenkeel.v1.DropoutBackwardRequest,
      dev.evenkeel.v1.DropoutBackwardResponse> getDropoutBackwardMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DropoutBackward",
      requestType = dev.evenkeel.v1.DropoutBackwardRequest.class,
      responseType = dev.evenkeel.v1.DropoutBackwardResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.evenkeel.v1.DropoutBackwardRequest,
      dev.evenkeel.v1.DropoutBackwardResponse> getDropoutBackwardMethod() {
    io.grpc.MethodDescriptor<dev.evenkeel.v1.DropoutBackwardRequest, dev.evenkeel.v1.DropoutBackwardResponse> getDropoutBackwardMethod;
    if ((getDropoutBackwardMethod = TensorOpsServiceGrpc.getDropoutBackwardMethod) == null) {
      synchronized (TensorOpsServiceGrpc.class) {
        if ((getDropoutBackwardMethod = TensorOpsServiceGrpc.getDropoutBackwardMethod) == null) {
          TensorOpsServiceGrpc.getDropoutBackwardMethod = getDropoutBackwardMethod =
              io.grpc.MethodDescriptor.<dev.evenkeel.v1.DropoutBackwardRequest, dev.evenkeel.v1.DropoutBackwardResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DropoutBackward"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.DropoutBackwardRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.DropoutBackwardResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TensorOpsServiceMethodDescriptorSupplier("DropoutBackward"))
              .build();
        }
      }
    }
    return getDropoutBackwardMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.evenkeel.v1.ClipGradientsRequest,
      dev.evenkeel.v1.ClipGradientsResponse> getClipGradientsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ClipGradients",
      requestType = dev.evenkeel.v1.ClipGradientsRequest.class,
      responseType = dev.evenkeel.v1.ClipGradientsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.evenkeel.v1.ClipGradientsRequest,
      dev.evenkeel.v1.ClipGradientsResponse> getClipGradientsMethod() {
    io.grpc.MethodDescriptor<dev.evenkeel.v1.ClipGradientsRequest, dev.evenkeel.v1.ClipGradientsResponse> getClipGradientsMethod;
    if ((getClipGradientsMethod = TensorOpsServiceGrpc.getClipGradientsMethod) == null) {
      synchronized (TensorOpsServiceGrpc.class) {
        if ((getClipGradientsMethod = TensorOpsServiceGrpc.getClipGradientsMethod) == null) {
          TensorOpsServiceGrpc.getClipGradientsMethod = getClipGradientsMethod =
              io.grpc.MethodDescriptor.<dev.evenkeel.v1.ClipGradientsRequest, dev.evenkeel.v1.ClipGradientsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ClipGradients"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.ClipGradientsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.ClipGradientsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TensorOpsServiceMethodDescriptorSupplier("ClipGradients"))
              .build();
        }
      }
    }
    return getClipGradientsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.evenkeel.v1.MeasureGradientsRequest,
      dev.evenkeel.v1.MeasureGradientsResponse> getMeasureGradientsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "MeasureGradients",
      requestType = dev.evenkeel.v1.MeasureGradientsRequest.class,
      responseType = dev.evenkeel.v1.MeasureGradientsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.CLIENT_STREAMING)
  public static io.grpc.MethodDescriptor<dev.evenkeel.v1.MeasureGradientsRequest,
      dev.evenkeel.v1.MeasureGradientsResponse> getMeasureGradientsMethod() {
    io.grpc.MethodDescriptor<dev.evenkeel.v1.MeasureGradientsRequest, dev.evenkeel.v1.MeasureGradientsResponse> getMeasureGradientsMethod;
    if ((getMeasureGradientsMethod = TensorOpsServiceGrpc.getMeasureGradientsMethod) == null) {
      synchronized (TensorOpsServiceGrpc.class) {
        if ((getMeasureGradientsMethod = TensorOpsServiceGrpc.getMeasureGradientsMethod) == null) {
          TensorOpsServiceGrpc.getMeasureGradientsMethod = getMeasureGradientsMethod =
              io.grpc.MethodDescriptor.<dev.evenkeel.v1.MeasureGradientsRequest, dev.evenkeel.v1.MeasureGradientsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.CLIENT_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "MeasureGradients"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.MeasureGradientsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.MeasureGradientsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TensorOpsServiceMethodDescriptorSupplier("MeasureGradients"))
              .build();
        }
      }
    }
    return getMeasureGradientsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.evenkeel.v1.MeasureStatisticsRequest,
      dev.evenkeel.v1.StatisticsPartial> getMeasureStatisticsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "MeasureStatistics",
      requestType = dev.evenkeel.v1.MeasureStatisticsRequest.class,
      responseType = dev.evenkeel.v1.StatisticsPartial.class,
      methodType = io.grpc.MethodDescriptor.MethodType.CLIENT_STREAMING)
  public static io.grpc.MethodDescriptor<dev.evenkeel.v1.MeasureStatisticsRequest,
      dev.evenkeel.v1.StatisticsPartial> getMeasureStatisticsMethod() {
    io.grpc.MethodDescriptor<dev.evenkeel.v1.MeasureStatisticsRequest, dev.evenkeel.v1.StatisticsPartial> getMeasureStatisticsMethod;
    if ((getMeasureStatisticsMethod = TensorOpsServiceGrpc.getMeasureStatisticsMethod) == null) {
      synchronized (TensorOpsServiceGrpc.class) {
        if ((getMeasureStatisticsMethod = TensorOpsServiceGrpc.getMeasureStatisticsMethod) == null) {
          TensorOpsServiceGrpc.getMeasureStatisticsMethod = getMeasureStatisticsMethod =
              io.grpc.MethodDescriptor.<dev.evenkeel.v1.MeasureStatisticsRequest, dev.evenkeel.v1.StatisticsPartial>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.CLIENT_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "MeasureStatistics"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.MeasureStatisticsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.StatisticsPartial.getDefaultInstance()))
              .setSchemaDescriptor(new TensorOpsServiceMethodDescriptorSupplier("MeasureStatistics"))
              .build();
        }
      }
    }
    return getMeasureStatisticsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.evenkeel.v1.MeasureGradientsRequest,
      dev.evenkeel.v1.MeasureGradientsResponse> getMeasureGradientsUnaryMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "MeasureGradientsUnary",
      requestType = dev.evenkeel.v1.MeasureGradientsRequest.class,
      responseType = dev.evenkeel.v1.MeasureGradientsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.evenkeel.v1.MeasureGradientsRequest,
      dev.evenkeel.v1.MeasureGradientsResponse> getMeasureGradientsUnaryMethod() {
    io.grpc.MethodDescriptor<dev.evenkeel.v1.MeasureGradientsRequest, dev.evenkeel.v1.MeasureGradientsResponse> getMeasureGradientsUnaryMethod;
    if ((getMeasureGradientsUnaryMethod = TensorOpsServiceGrpc.getMeasureGradientsUnaryMethod) == null) {
      synchronized (TensorOpsServiceGrpc.class) {
        if ((getMeasureGradientsUnaryMethod = TensorOpsServiceGrpc.getMeasureGradientsUnaryMethod) == null) {
          TensorOpsServiceGrpc.getMeasureGradientsUnaryMethod = getMeasureGradientsUnaryMethod =
              io.grpc.MethodDescriptor.<dev.evenkeel.v1.MeasureGradientsRequest, dev.evenkeel.v1.MeasureGradientsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "MeasureGradientsUnary"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.MeasureGradientsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.MeasureGradientsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TensorOpsServiceMethodDescriptorSupplier("MeasureGradientsUnary"))
              .build();
        }
      }
    }
    return getMeasureGradientsUnaryMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.evenkeel.v1.MeasureStatisticsRequest,
      dev.evenkeel.v1.StatisticsPartial> getMeasureStatisticsUnaryMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "MeasureStatisticsUnary",
      requestType = dev.evenkeel.v1.MeasureStatisticsRequest.class,
      responseType = dev.evenkeel.v1.StatisticsPartial.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.evenkeel.v1.MeasureStatisticsRequest,
      dev.evenkeel.v1.StatisticsPartial> getMeasureStatisticsUnaryMethod() {
    io.grpc.MethodDescriptor<dev.evenkeel.v1.MeasureStatisticsRequest, dev.evenkeel.v1.StatisticsPartial> getMeasureStatisticsUnaryMethod;
    if ((getMeasureStatisticsUnaryMethod = TensorOpsServiceGrpc.getMeasureStatisticsUnaryMethod) == null) {
      synchronized (TensorOpsServiceGrpc.class) {
        if ((getMeasureStatisticsUnaryMethod = TensorOpsServiceGrpc.getMeasureStatisticsUnaryMethod) == null) {
          TensorOpsServiceGrpc.getMeasureStatisticsUnaryMethod = getMeasureStatisticsUnaryMethod =
              io.grpc.MethodDescriptor.<dev.evenkeel.v1.MeasureStatisticsRequest, dev.evenkeel.v1.StatisticsPartial>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "MeasureStatisticsUnary"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.MeasureStatisticsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.StatisticsPartial.getDefaultInstance()))
              .setSchemaDescriptor(new TensorOpsServiceMethodDescriptorSupplier("MeasureStatisticsUnary"))
              .build();
        }
      }
    }
    return getMeasureStatisticsUnaryMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.evenkeel.v1.NormalizeStreamRequest,
      dev.evenkeel.v1.NormalizeStreamResponse> getNormalizeStreamMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "NormalizeStream",
      requestType = dev.evenkeel.v1.NormalizeStreamRequest.class,
      responseType = dev.evenkeel.v1.NormalizeStreamResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
  public static io.grpc.MethodDescriptor<dev.evenkeel.v1.NormalizeStreamRequest,
      dev.evenkeel.v1.NormalizeStreamResponse> getNormalizeStreamMethod() {
    io.grpc.MethodDescriptor<dev.evenkeel.v1.NormalizeStreamRequest, dev.evenkeel.v1.NormalizeStreamResponse> getNormalizeStreamMethod;
    if ((getNormalizeStreamMethod = TensorOpsServiceGrpc.getNormalizeStreamMethod) == null) {
      synchronized (TensorOpsServiceGrpc.class) {
        if ((getNormalizeStreamMethod = TensorOpsServiceGrpc.getNormalizeStreamMethod) == null) {
          TensorOpsServiceGrpc.getNormalizeStreamMethod = getNormalizeStreamMethod =
              io.grpc.MethodDescriptor.<dev.evenkeel.v1.NormalizeStreamRequest, dev.evenkeel.v1.NormalizeStreamResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "NormalizeStream"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.NormalizeStreamRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.NormalizeStreamResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TensorOpsServiceMethodDescriptorSupplier("NormalizeStream"))
              .build();
        }
      }
    }
    return getNormalizeStreamMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.evenkeel.v1.DropoutStreamRequest,
      dev.evenkeel.v1.DropoutStreamResponse> getDropoutStreamMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DropoutStream",
      requestType = dev.evenkeel.v1.DropoutStreamRequest.class,
      responseType = dev.evenkeel.v1.DropoutStreamResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
  public static io.grpc.MethodDescriptor<dev.evenkeel.v1.DropoutStreamRequest,
      dev.evenkeel.v1.DropoutStreamResponse> getDropoutStreamMethod() {
    io.grpc.MethodDescriptor<dev.evenkeel.v1.DropoutStreamRequest, dev.evenkeel.v1.DropoutStreamResponse> getDropoutStreamMethod;
    if ((getDropoutStreamMethod = TensorOpsServiceGrpc.getDropoutStreamMethod) == null) {
      synchronized (TensorOpsServiceGrpc.class) {
        if ((getDropoutStreamMethod = TensorOpsServiceGrpc.getDropoutStreamMethod) == null) {
          TensorOpsServiceGrpc.getDropoutStreamMethod = getDropoutStreamMethod =
              io.grpc.MethodDescriptor.<dev.evenkeel.v1.DropoutStreamRequest, dev.evenkeel.v1.DropoutStreamResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DropoutStream"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.DropoutStreamRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.DropoutStreamResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TensorOpsServiceMethodDescriptorSupplier("DropoutStream"))
              .build();
        }
      }
    }
    return getDropoutStreamMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.evenkeel.v1.ClipGradientsStreamRequest,
      dev.evenkeel.v1.ClipGradientsStreamResponse> getClipGradientsStreamMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ClipGradientsStream",
      requestType = dev.evenkeel.v1.ClipGradientsStreamRequest.class,
      responseType = dev.evenkeel.v1.ClipGradientsStreamResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
  public static io.grpc.MethodDescriptor<dev.evenkeel.v1.ClipGradientsStreamRequest,
      dev.evenkeel.v1.ClipGradientsStreamResponse> getClipGradientsStreamMethod() {
    io.grpc.MethodDescriptor<dev.evenkeel.v1.ClipGradientsStreamRequest, dev.evenkeel.v1.ClipGradientsStreamResponse> getClipGradientsStreamMethod;
    if ((getClipGradientsStreamMethod = TensorOpsServiceGrpc.getClipGradientsStreamMethod) == null) {
      synchronized (TensorOpsServiceGrpc.class) {
        if ((getClipGradientsStreamMethod = TensorOpsServiceGrpc.getClipGradientsStreamMethod) == null) {
          TensorOpsServiceGrpc.getClipGradientsStreamMethod = getClipGradientsStreamMethod =
              io.grpc.MethodDescriptor.<dev.evenkeel.v1.ClipGradientsStreamRequest, dev.evenkeel.v1.ClipGradientsStreamResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ClipGradientsStream"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.ClipGradientsStreamRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.ClipGradientsStreamResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TensorOpsServiceMethodDescriptorSupplier("ClipGradientsStream"))
              .build();
        }
      }
    }
    return getClipGradientsStreamMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.evenkeel.v1.GetServerInfoRequest,
      dev.evenkeel.v1.GetServerInfoResponse> getGetServerInfoMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetServerInfo",
      requestType = dev.evenkeel.v1.GetServerInfoRequest.class,
      responseType = dev.evenkeel.v1.GetServerInfoResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.evenkeel.v1.GetServerInfoRequest,
      dev.evenkeel.v1.GetServerInfoResponse> getGetServerInfoMethod() {
    io.grpc.MethodDescriptor<dev.evenkeel.v1.GetServerInfoRequest, dev.evenkeel.v1.GetServerInfoResponse> getGetServerInfoMethod;
    if ((getGetServerInfoMethod = TensorOpsServiceGrpc.getGetServerInfoMethod) == null) {
      synchronized (TensorOpsServiceGrpc.class) {
        if ((getGetServerInfoMethod = TensorOpsServiceGrpc.getGetServerInfoMethod) == null) {
          TensorOpsServiceGrpc.getGetServerInfoMethod = getGetServerInfoMethod =
              io.grpc.MethodDescriptor.<dev.evenkeel.v1.GetServerInfoRequest, dev.evenkeel.v1.GetServerInfoResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetServerInfo"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.GetServerInfoRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.evenkeel.v1.GetServerInfoResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TensorOpsServiceMethodDescriptorSupplier("GetServerInfo"))
              .build();
        }
      }
    }
    return getGetServerInfoMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static TensorOpsServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TensorOpsServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TensorOpsServiceStub>() {
        @java.lang.Override
        public TensorOpsServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TensorOpsServiceStub(channel, callOptions);
        }
      };
    return TensorOpsServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static TensorOpsServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TensorOpsServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TensorOpsServiceBlockingV2Stub>() {
        @java.lang.Override
        public TensorOpsServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TensorOpsServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return TensorOpsServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static TensorOpsServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TensorOpsServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TensorOpsServiceBlockingStub>() {
        @java.lang.Override
        public TensorOpsServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TensorOpsServiceBlockingStub(channel, callOptions);
        }
      };
    return TensorOpsServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static TensorOpsServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TensorOpsServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TensorOpsServiceFutureStub>() {
        @java.lang.Override
        public TensorOpsServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TensorOpsServiceFutureStub(channel, callOptions);
        }
      };
    return TensorOpsServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Normalization, dropout and gradient clipping, with PyTorch's semantics.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Normalizes a tensor: batch, layer, RMS, instance, group or L2 normalization.
     * y = (x - mean) / sqrt(var + eps) * weight + bias, with the biased variance; RMS leaves the mean out.
     * L2: y = x / max(sqrt(sum(x^2)), eps).
     * </pre>
     */
    default void normalize(dev.evenkeel.v1.NormalizeRequest request,
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.NormalizeResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getNormalizeMethod(), responseObserver);
    }

    /**
     * <pre>
     * The gradients of Normalize with respect to its input, weight and bias. The statistics are computed again from
     * `input`; nothing is stored between calls. L2: (g - y * sum(g * y)) / norm, and g / eps where the norm is below eps.
     * </pre>
     */
    default void normalizeBackward(dev.evenkeel.v1.NormalizeBackwardRequest request,
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.NormalizeBackwardResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getNormalizeBackwardMethod(), responseObserver);
    }

    /**
     * <pre>
     * Drops elements (or channels) at random, by a mask that depends on p, seed and offset alone.
     * </pre>
     */
    default void dropout(dev.evenkeel.v1.DropoutRequest request,
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.DropoutResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDropoutMethod(), responseObserver);
    }

    /**
     * <pre>
     * The gradient of Dropout with respect to its input. The mask comes from p, seed and offset again; gradients of
     * dropped elements are exactly +0.0.
     * </pre>
     */
    default void dropoutBackward(dev.evenkeel.v1.DropoutBackwardRequest request,
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.DropoutBackwardResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDropoutBackwardMethod(), responseObserver);
    }

    /**
     * <pre>
     * Clips gradients by one global norm over all tensors, by value, or by each tensor's own norm.
     * </pre>
     */
    default void clipGradients(dev.evenkeel.v1.ClipGradientsRequest request,
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.ClipGradientsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getClipGradientsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Measures a norm over gradients, or pieces of them, in a form that merges exactly: the merged norm has the same bits
     * for any order of the elements and any distribution over messages and servers. If clients send it to ClipGradients as
     * `total_norm`, each part is clipped as by one server that saw everything.
     * </pre>
     */
    default io.grpc.stub.StreamObserver<dev.evenkeel.v1.MeasureGradientsRequest> measureGradients(
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.MeasureGradientsResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getMeasureGradientsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Measures the statistics of a part of a tensor in a form that merges exactly: the merged statistics have the same bits
     * for any cut into parts and any order. Normalize and NormalizeBackward take them as `statistics`, and give each part the
     * bytes that it has in one call with all parts together and the same statistics: batch normalization of samples on
     * several machines, layer and RMS normalization of a row that is cut.
     * </pre>
     */
    default io.grpc.stub.StreamObserver<dev.evenkeel.v1.MeasureStatisticsRequest> measureStatistics(
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.StatisticsPartial> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getMeasureStatisticsMethod(), responseObserver);
    }

    /**
     * <pre>
     * MeasureGradients of one message, for clients that cannot send streams, such as browsers: it measures the message's gradients,
     * merges its partials, or both.
     * </pre>
     */
    default void measureGradientsUnary(dev.evenkeel.v1.MeasureGradientsRequest request,
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.MeasureGradientsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getMeasureGradientsUnaryMethod(), responseObserver);
    }

    /**
     * <pre>
     * MeasureStatistics of one message, for clients that cannot send streams: it measures the part whose header and elements the
     * message has, merges its partials, or both.
     * </pre>
     */
    default void measureStatisticsUnary(dev.evenkeel.v1.MeasureStatisticsRequest request,
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.StatisticsPartial> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getMeasureStatisticsUnaryMethod(), responseObserver);
    }

    /**
     * <pre>
     * Normalize of a tensor of any size, which comes and goes in chunks as in DropoutStream: the bytes of the unary call. It holds what
     * is pooled together and lies next to each other in memory, such as a row; of BATCH with the input's own statistics, the tensor.
     * With running statistics in evaluation, or with `statistics`, it takes constant memory. What is too much for the server is
     * refused with RESOURCE_EXHAUSTED and an ErrorInfo of reason NEEDS_TWO_PASSES: MeasureStatistics of the same tensor, and then
     * this call with its answer as `statistics`, need no more than a chunk.
     * </pre>
     */
    default io.grpc.stub.StreamObserver<dev.evenkeel.v1.NormalizeStreamRequest> normalizeStream(
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.NormalizeStreamResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getNormalizeStreamMethod(), responseObserver);
    }

    /**
     * <pre>
     * Dropout and DropoutBackward of a tensor of any size, which comes and goes in chunks: the bytes of the unary call in constant
     * memory. The client sends a header, and then the tensor's bytes in `data`, cut anywhere. The server answers with a header,
     * with the bytes of the result while the request arrives, and at last with a summary. The client must read the answer while
     * it sends: a server whose answer is not taken stops reading. A stream that is not as described, with too many bytes or too few,
     * ends with INVALID_ARGUMENT; an error ends the stream without a summary, and what came before it is not a result.
     * </pre>
     */
    default io.grpc.stub.StreamObserver<dev.evenkeel.v1.DropoutStreamRequest> dropoutStream(
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.DropoutStreamResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getDropoutStreamMethod(), responseObserver);
    }

    /**
     * <pre>
     * ClipGradients of gradients of any number and size, which come and go in chunks as in DropoutStream: the bytes of the unary
     * call. By value, or by a `total_norm`, it takes constant memory. By each tensor's norm it holds a tensor; by one norm, and for
     * a `norm_type` other than 1, 2 and infinity, all of them. What is too much for the server is refused at the header or at a
     * `tensor`, with RESOURCE_EXHAUSTED and an ErrorInfo of reason NEEDS_TWO_PASSES: MeasureGradients of the same gradients, and
     * then this call with the norm as `total_norm`, need no more than a chunk. With `error_if_nonfinite` the call fails at its end, when all
     * elements were seen.
     * </pre>
     */
    default io.grpc.stub.StreamObserver<dev.evenkeel.v1.ClipGradientsStreamRequest> clipGradientsStream(
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.ClipGradientsStreamResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getClipGradientsStreamMethod(), responseObserver);
    }

    /**
     * <pre>
     * Returns the server's version, limits and capabilities, so that a client can check them before it sends a tensor.
     * Needs a token if the other methods need one.
     * </pre>
     */
    default void getServerInfo(dev.evenkeel.v1.GetServerInfoRequest request,
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.GetServerInfoResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetServerInfoMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service TensorOpsService.
   * <pre>
   * Normalization, dropout and gradient clipping, with PyTorch's semantics.
   * </pre>
   */
  public static abstract class TensorOpsServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return TensorOpsServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service TensorOpsService.
   * <pre>
   * Normalization, dropout and gradient clipping, with PyTorch's semantics.
   * </pre>
   */
  public static final class TensorOpsServiceStub
      extends io.grpc.stub.AbstractAsyncStub<TensorOpsServiceStub> {
    private TensorOpsServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TensorOpsServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TensorOpsServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Normalizes a tensor: batch, layer, RMS, instance, group or L2 normalization.
     * y = (x - mean) / sqrt(var + eps) * weight + bias, with the biased variance; RMS leaves the mean out.
     * L2: y = x / max(sqrt(sum(x^2)), eps).
     * </pre>
     */
    public void normalize(dev.evenkeel.v1.NormalizeRequest request,
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.NormalizeResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getNormalizeMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * The gradients of Normalize with respect to its input, weight and bias. The statistics are computed again from
     * `input`; nothing is stored between calls. L2: (g - y * sum(g * y)) / norm, and g / eps where the norm is below eps.
     * </pre>
     */
    public void normalizeBackward(dev.evenkeel.v1.NormalizeBackwardRequest request,
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.NormalizeBackwardResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getNormalizeBackwardMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Drops elements (or channels) at random, by a mask that depends on p, seed and offset alone.
     * </pre>
     */
    public void dropout(dev.evenkeel.v1.DropoutRequest request,
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.DropoutResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDropoutMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * The gradient of Dropout with respect to its input. The mask comes from p, seed and offset again; gradients of
     * dropped elements are exactly +0.0.
     * </pre>
     */
    public void dropoutBackward(dev.evenkeel.v1.DropoutBackwardRequest request,
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.DropoutBackwardResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDropoutBackwardMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Clips gradients by one global norm over all tensors, by value, or by each tensor's own norm.
     * </pre>
     */
    public void clipGradients(dev.evenkeel.v1.ClipGradientsRequest request,
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.ClipGradientsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getClipGradientsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Measures a norm over gradients, or pieces of them, in a form that merges exactly: the merged norm has the same bits
     * for any order of the elements and any distribution over messages and servers. If clients send it to ClipGradients as
     * `total_norm`, each part is clipped as by one server that saw everything.
     * </pre>
     */
    public io.grpc.stub.StreamObserver<dev.evenkeel.v1.MeasureGradientsRequest> measureGradients(
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.MeasureGradientsResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncClientStreamingCall(
          getChannel().newCall(getMeasureGradientsMethod(), getCallOptions()), responseObserver);
    }

    /**
     * <pre>
     * Measures the statistics of a part of a tensor in a form that merges exactly: the merged statistics have the same bits
     * for any cut into parts and any order. Normalize and NormalizeBackward take them as `statistics`, and give each part the
     * bytes that it has in one call with all parts together and the same statistics: batch normalization of samples on
     * several machines, layer and RMS normalization of a row that is cut.
     * </pre>
     */
    public io.grpc.stub.StreamObserver<dev.evenkeel.v1.MeasureStatisticsRequest> measureStatistics(
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.StatisticsPartial> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncClientStreamingCall(
          getChannel().newCall(getMeasureStatisticsMethod(), getCallOptions()), responseObserver);
    }

    /**
     * <pre>
     * MeasureGradients of one message, for clients that cannot send streams, such as browsers: it measures the message's gradients,
     * merges its partials, or both.
     * </pre>
     */
    public void measureGradientsUnary(dev.evenkeel.v1.MeasureGradientsRequest request,
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.MeasureGradientsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getMeasureGradientsUnaryMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * MeasureStatistics of one message, for clients that cannot send streams: it measures the part whose header and elements the
     * message has, merges its partials, or both.
     * </pre>
     */
    public void measureStatisticsUnary(dev.evenkeel.v1.MeasureStatisticsRequest request,
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.StatisticsPartial> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getMeasureStatisticsUnaryMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Normalize of a tensor of any size, which comes and goes in chunks as in DropoutStream: the bytes of the unary call. It holds what
     * is pooled together and lies next to each other in memory, such as a row; of BATCH with the input's own statistics, the tensor.
     * With running statistics in evaluation, or with `statistics`, it takes constant memory. What is too much for the server is
     * refused with RESOURCE_EXHAUSTED and an ErrorInfo of reason NEEDS_TWO_PASSES: MeasureStatistics of the same tensor, and then
     * this call with its answer as `statistics`, need no more than a chunk.
     * </pre>
     */
    public io.grpc.stub.StreamObserver<dev.evenkeel.v1.NormalizeStreamRequest> normalizeStream(
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.NormalizeStreamResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncBidiStreamingCall(
          getChannel().newCall(getNormalizeStreamMethod(), getCallOptions()), responseObserver);
    }

    /**
     * <pre>
     * Dropout and DropoutBackward of a tensor of any size, which comes and goes in chunks: the bytes of the unary call in constant
     * memory. The client sends a header, and then the tensor's bytes in `data`, cut anywhere. The server answers with a header,
     * with the bytes of the result while the request arrives, and at last with a summary. The client must read the answer while
     * it sends: a server whose answer is not taken stops reading. A stream that is not as described, with too many bytes or too few,
     * ends with INVALID_ARGUMENT; an error ends the stream without a summary, and what came before it is not a result.
     * </pre>
     */
    public io.grpc.stub.StreamObserver<dev.evenkeel.v1.DropoutStreamRequest> dropoutStream(
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.DropoutStreamResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncBidiStreamingCall(
          getChannel().newCall(getDropoutStreamMethod(), getCallOptions()), responseObserver);
    }

    /**
     * <pre>
     * ClipGradients of gradients of any number and size, which come and go in chunks as in DropoutStream: the bytes of the unary
     * call. By value, or by a `total_norm`, it takes constant memory. By each tensor's norm it holds a tensor; by one norm, and for
     * a `norm_type` other than 1, 2 and infinity, all of them. What is too much for the server is refused at the header or at a
     * `tensor`, with RESOURCE_EXHAUSTED and an ErrorInfo of reason NEEDS_TWO_PASSES: MeasureGradients of the same gradients, and
     * then this call with the norm as `total_norm`, need no more than a chunk. With `error_if_nonfinite` the call fails at its end, when all
     * elements were seen.
     * </pre>
     */
    public io.grpc.stub.StreamObserver<dev.evenkeel.v1.ClipGradientsStreamRequest> clipGradientsStream(
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.ClipGradientsStreamResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncBidiStreamingCall(
          getChannel().newCall(getClipGradientsStreamMethod(), getCallOptions()), responseObserver);
    }

    /**
     * <pre>
     * Returns the server's version, limits and capabilities, so that a client can check them before it sends a tensor.
     * Needs a token if the other methods need one.
     * </pre>
     */
    public void getServerInfo(dev.evenkeel.v1.GetServerInfoRequest request,
        io.grpc.stub.StreamObserver<dev.evenkeel.v1.GetServerInfoResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetServerInfoMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service TensorOpsService.
   * <pre>
   * Normalization, dropout and gradient clipping, with PyTorch's semantics.
   * </pre>
   */
  public static final class TensorOpsServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<TensorOpsServiceBlockingV2Stub> {
    private TensorOpsServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TensorOpsServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TensorOpsServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Normalizes a tensor: batch, layer, RMS, instance, group or L2 normalization.
     * y = (x - mean) / sqrt(var + eps) * weight + bias, with the biased variance; RMS leaves the mean out.
     * L2: y = x / max(sqrt(sum(x^2)), eps).
     * </pre>
     */
    public dev.evenkeel.v1.NormalizeResponse normalize(dev.evenkeel.v1.NormalizeRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getNormalizeMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The gradients of Normalize with respect to its input, weight and bias. The statistics are computed again from
     * `input`; nothing is stored between calls. L2: (g - y * sum(g * y)) / norm, and g / eps where the norm is below eps.
     * </pre>
     */
    public dev.evenkeel.v1.NormalizeBackwardResponse normalizeBackward(dev.evenkeel.v1.NormalizeBackwardRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getNormalizeBackwardMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Drops elements (or channels) at random, by a mask that depends on p, seed and offset alone.
     * </pre>
     */
    public dev.evenkeel.v1.DropoutResponse dropout(dev.evenkeel.v1.DropoutRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDropoutMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The gradient of Dropout with respect to its input. The mask comes from p, seed and offset again; gradients of
     * dropped elements are exactly +0.0.
     * </pre>
     */
    public dev.evenkeel.v1.DropoutBackwardResponse dropoutBackward(dev.evenkeel.v1.DropoutBackwardRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDropoutBackwardMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Clips gradients by one global norm over all tensors, by value, or by each tensor's own norm.
     * </pre>
     */
    public dev.evenkeel.v1.ClipGradientsResponse clipGradients(dev.evenkeel.v1.ClipGradientsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getClipGradientsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Measures a norm over gradients, or pieces of them, in a form that merges exactly: the merged norm has the same bits
     * for any order of the elements and any distribution over messages and servers. If clients send it to ClipGradients as
     * `total_norm`, each part is clipped as by one server that saw everything.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<dev.evenkeel.v1.MeasureGradientsRequest, dev.evenkeel.v1.MeasureGradientsResponse>
        measureGradients() {
      return io.grpc.stub.ClientCalls.blockingClientStreamingCall(
          getChannel(), getMeasureGradientsMethod(), getCallOptions());
    }

    /**
     * <pre>
     * Measures the statistics of a part of a tensor in a form that merges exactly: the merged statistics have the same bits
     * for any cut into parts and any order. Normalize and NormalizeBackward take them as `statistics`, and give each part the
     * bytes that it has in one call with all parts together and the same statistics: batch normalization of samples on
     * several machines, layer and RMS normalization of a row that is cut.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<dev.evenkeel.v1.MeasureStatisticsRequest, dev.evenkeel.v1.StatisticsPartial>
        measureStatistics() {
      return io.grpc.stub.ClientCalls.blockingClientStreamingCall(
          getChannel(), getMeasureStatisticsMethod(), getCallOptions());
    }

    /**
     * <pre>
     * MeasureGradients of one message, for clients that cannot send streams, such as browsers: it measures the message's gradients,
     * merges its partials, or both.
     * </pre>
     */
    public dev.evenkeel.v1.MeasureGradientsResponse measureGradientsUnary(dev.evenkeel.v1.MeasureGradientsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getMeasureGradientsUnaryMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * MeasureStatistics of one message, for clients that cannot send streams: it measures the part whose header and elements the
     * message has, merges its partials, or both.
     * </pre>
     */
    public dev.evenkeel.v1.StatisticsPartial measureStatisticsUnary(dev.evenkeel.v1.MeasureStatisticsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getMeasureStatisticsUnaryMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Normalize of a tensor of any size, which comes and goes in chunks as in DropoutStream: the bytes of the unary call. It holds what
     * is pooled together and lies next to each other in memory, such as a row; of BATCH with the input's own statistics, the tensor.
     * With running statistics in evaluation, or with `statistics`, it takes constant memory. What is too much for the server is
     * refused with RESOURCE_EXHAUSTED and an ErrorInfo of reason NEEDS_TWO_PASSES: MeasureStatistics of the same tensor, and then
     * this call with its answer as `statistics`, need no more than a chunk.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<dev.evenkeel.v1.NormalizeStreamRequest, dev.evenkeel.v1.NormalizeStreamResponse>
        normalizeStream() {
      return io.grpc.stub.ClientCalls.blockingBidiStreamingCall(
          getChannel(), getNormalizeStreamMethod(), getCallOptions());
    }

    /**
     * <pre>
     * Dropout and DropoutBackward of a tensor of any size, which comes and goes in chunks: the bytes of the unary call in constant
     * memory. The client sends a header, and then the tensor's bytes in `data`, cut anywhere. The server answers with a header,
     * with the bytes of the result while the request arrives, and at last with a summary. The client must read the answer while
     * it sends: a server whose answer is not taken stops reading. A stream that is not as described, with too many bytes or too few,
     * ends with INVALID_ARGUMENT; an error ends the stream without a summary, and what came before it is not a result.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<dev.evenkeel.v1.DropoutStreamRequest, dev.evenkeel.v1.DropoutStreamResponse>
        dropoutStream() {
      return io.grpc.stub.ClientCalls.blockingBidiStreamingCall(
          getChannel(), getDropoutStreamMethod(), getCallOptions());
    }

    /**
     * <pre>
     * ClipGradients of gradients of any number and size, which come and go in chunks as in DropoutStream: the bytes of the unary
     * call. By value, or by a `total_norm`, it takes constant memory. By each tensor's norm it holds a tensor; by one norm, and for
     * a `norm_type` other than 1, 2 and infinity, all of them. What is too much for the server is refused at the header or at a
     * `tensor`, with RESOURCE_EXHAUSTED and an ErrorInfo of reason NEEDS_TWO_PASSES: MeasureGradients of the same gradients, and
     * then this call with the norm as `total_norm`, need no more than a chunk. With `error_if_nonfinite` the call fails at its end, when all
     * elements were seen.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<dev.evenkeel.v1.ClipGradientsStreamRequest, dev.evenkeel.v1.ClipGradientsStreamResponse>
        clipGradientsStream() {
      return io.grpc.stub.ClientCalls.blockingBidiStreamingCall(
          getChannel(), getClipGradientsStreamMethod(), getCallOptions());
    }

    /**
     * <pre>
     * Returns the server's version, limits and capabilities, so that a client can check them before it sends a tensor.
     * Needs a token if the other methods need one.
     * </pre>
     */
    public dev.evenkeel.v1.GetServerInfoResponse getServerInfo(dev.evenkeel.v1.GetServerInfoRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetServerInfoMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service TensorOpsService.
   * <pre>
   * Normalization, dropout and gradient clipping, with PyTorch's semantics.
   * </pre>
   */
  public static final class TensorOpsServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<TensorOpsServiceBlockingStub> {
    private TensorOpsServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TensorOpsServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TensorOpsServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Normalizes a tensor: batch, layer, RMS, instance, group or L2 normalization.
     * y = (x - mean) / sqrt(var + eps) * weight + bias, with the biased variance; RMS leaves the mean out.
     * L2: y = x / max(sqrt(sum(x^2)), eps).
     * </pre>
     */
    public dev.evenkeel.v1.NormalizeResponse normalize(dev.evenkeel.v1.NormalizeRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getNormalizeMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The gradients of Normalize with respect to its input, weight and bias. The statistics are computed again from
     * `input`; nothing is stored between calls. L2: (g - y * sum(g * y)) / norm, and g / eps where the norm is below eps.
     * </pre>
     */
    public dev.evenkeel.v1.NormalizeBackwardResponse normalizeBackward(dev.evenkeel.v1.NormalizeBackwardRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getNormalizeBackwardMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Drops elements (or channels) at random, by a mask that depends on p, seed and offset alone.
     * </pre>
     */
    public dev.evenkeel.v1.DropoutResponse dropout(dev.evenkeel.v1.DropoutRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDropoutMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The gradient of Dropout with respect to its input. The mask comes from p, seed and offset again; gradients of
     * dropped elements are exactly +0.0.
     * </pre>
     */
    public dev.evenkeel.v1.DropoutBackwardResponse dropoutBackward(dev.evenkeel.v1.DropoutBackwardRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDropoutBackwardMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Clips gradients by one global norm over all tensors, by value, or by each tensor's own norm.
     * </pre>
     */
    public dev.evenkeel.v1.ClipGradientsResponse clipGradients(dev.evenkeel.v1.ClipGradientsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getClipGradientsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * MeasureGradients of one message, for clients that cannot send streams, such as browsers: it measures the message's gradients,
     * merges its partials, or both.
     * </pre>
     */
    public dev.evenkeel.v1.MeasureGradientsResponse measureGradientsUnary(dev.evenkeel.v1.MeasureGradientsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getMeasureGradientsUnaryMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * MeasureStatistics of one message, for clients that cannot send streams: it measures the part whose header and elements the
     * message has, merges its partials, or both.
     * </pre>
     */
    public dev.evenkeel.v1.StatisticsPartial measureStatisticsUnary(dev.evenkeel.v1.MeasureStatisticsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getMeasureStatisticsUnaryMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns the server's version, limits and capabilities, so that a client can check them before it sends a tensor.
     * Needs a token if the other methods need one.
     * </pre>
     */
    public dev.evenkeel.v1.GetServerInfoResponse getServerInfo(dev.evenkeel.v1.GetServerInfoRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetServerInfoMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service TensorOpsService.
   * <pre>
   * Normalization, dropout and gradient clipping, with PyTorch's semantics.
   * </pre>
   */
  public static final class TensorOpsServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<TensorOpsServiceFutureStub> {
    private TensorOpsServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TensorOpsServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TensorOpsServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Normalizes a tensor: batch, layer, RMS, instance, group or L2 normalization.
     * y = (x - mean) / sqrt(var + eps) * weight + bias, with the biased variance; RMS leaves the mean out.
     * L2: y = x / max(sqrt(sum(x^2)), eps).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.evenkeel.v1.NormalizeResponse> normalize(
        dev.evenkeel.v1.NormalizeRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getNormalizeMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * The gradients of Normalize with respect to its input, weight and bias. The statistics are computed again from
     * `input`; nothing is stored between calls. L2: (g - y * sum(g * y)) / norm, and g / eps where the norm is below eps.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.evenkeel.v1.NormalizeBackwardResponse> normalizeBackward(
        dev.evenkeel.v1.NormalizeBackwardRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getNormalizeBackwardMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Drops elements (or channels) at random, by a mask that depends on p, seed and offset alone.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.evenkeel.v1.DropoutResponse> dropout(
        dev.evenkeel.v1.DropoutRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDropoutMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * The gradient of Dropout with respect to its input. The mask comes from p, seed and offset again; gradients of
     * dropped elements are exactly +0.0.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.evenkeel.v1.DropoutBackwardResponse> dropoutBackward(
        dev.evenkeel.v1.DropoutBackwardRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDropoutBackwardMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Clips gradients by one global norm over all tensors, by value, or by each tensor's own norm.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.evenkeel.v1.ClipGradientsResponse> clipGradients(
        dev.evenkeel.v1.ClipGradientsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getClipGradientsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * MeasureGradients of one message, for clients that cannot send streams, such as browsers: it measures the message's gradients,
     * merges its partials, or both.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.evenkeel.v1.MeasureGradientsResponse> measureGradientsUnary(
        dev.evenkeel.v1.MeasureGradientsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getMeasureGradientsUnaryMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * MeasureStatistics of one message, for clients that cannot send streams: it measures the part whose header and elements the
     * message has, merges its partials, or both.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.evenkeel.v1.StatisticsPartial> measureStatisticsUnary(
        dev.evenkeel.v1.MeasureStatisticsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getMeasureStatisticsUnaryMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Returns the server's version, limits and capabilities, so that a client can check them before it sends a tensor.
     * Needs a token if the other methods need one.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.evenkeel.v1.GetServerInfoResponse> getServerInfo(
        dev.evenkeel.v1.GetServerInfoRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetServerInfoMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_NORMALIZE = 0;
  private static final int METHODID_NORMALIZE_BACKWARD = 1;
  private static final int METHODID_DROPOUT = 2;
  private static final int METHODID_DROPOUT_BACKWARD = 3;
  private static final int METHODID_CLIP_GRADIENTS = 4;
  private static final int METHODID_MEASURE_GRADIENTS_UNARY = 5;
  private static final int METHODID_MEASURE_STATISTICS_UNARY = 6;
  private static final int METHODID_GET_SERVER_INFO = 7;
  private static final int METHODID_MEASURE_GRADIENTS = 8;
  private static final int METHODID_MEASURE_STATISTICS = 9;
  private static final int METHODID_NORMALIZE_STREAM = 10;
  private static final int METHODID_DROPOUT_STREAM = 11;
  private static final int METHODID_CLIP_GRADIENTS_STREAM = 12;

  private static final class MethodHandlers<Req, Resp> implements
      io.grpc.stub.ServerCalls.UnaryMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ServerStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ClientStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.BidiStreamingMethod<Req, Resp> {
    private final AsyncService serviceImpl;
    private final int methodId;

    MethodHandlers(AsyncService serviceImpl, int methodId) {
      this.serviceImpl = serviceImpl;
      this.methodId = methodId;
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public void invoke(Req request, io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_NORMALIZE:
          serviceImpl.normalize((dev.evenkeel.v1.NormalizeRequest) request,
              (io.grpc.stub.StreamObserver<dev.evenkeel.v1.NormalizeResponse>) responseObserver);
          break;
        case METHODID_NORMALIZE_BACKWARD:
          serviceImpl.normalizeBackward((dev.evenkeel.v1.NormalizeBackwardRequest) request,
              (io.grpc.stub.StreamObserver<dev.evenkeel.v1.NormalizeBackwardResponse>) responseObserver);
          break;
        case METHODID_DROPOUT:
          serviceImpl.dropout((dev.evenkeel.v1.DropoutRequest) request,
              (io.grpc.stub.StreamObserver<dev.evenkeel.v1.DropoutResponse>) responseObserver);
          break;
        case METHODID_DROPOUT_BACKWARD:
          serviceImpl.dropoutBackward((dev.evenkeel.v1.DropoutBackwardRequest) request,
              (io.grpc.stub.StreamObserver<dev.evenkeel.v1.DropoutBackwardResponse>) responseObserver);
          break;
        case METHODID_CLIP_GRADIENTS:
          serviceImpl.clipGradients((dev.evenkeel.v1.ClipGradientsRequest) request,
              (io.grpc.stub.StreamObserver<dev.evenkeel.v1.ClipGradientsResponse>) responseObserver);
          break;
        case METHODID_MEASURE_GRADIENTS_UNARY:
          serviceImpl.measureGradientsUnary((dev.evenkeel.v1.MeasureGradientsRequest) request,
              (io.grpc.stub.StreamObserver<dev.evenkeel.v1.MeasureGradientsResponse>) responseObserver);
          break;
        case METHODID_MEASURE_STATISTICS_UNARY:
          serviceImpl.measureStatisticsUnary((dev.evenkeel.v1.MeasureStatisticsRequest) request,
              (io.grpc.stub.StreamObserver<dev.evenkeel.v1.StatisticsPartial>) responseObserver);
          break;
        case METHODID_GET_SERVER_INFO:
          serviceImpl.getServerInfo((dev.evenkeel.v1.GetServerInfoRequest) request,
              (io.grpc.stub.StreamObserver<dev.evenkeel.v1.GetServerInfoResponse>) responseObserver);
          break;
        default:
          throw new AssertionError();
      }
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public io.grpc.stub.StreamObserver<Req> invoke(
        io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_MEASURE_GRADIENTS:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.measureGradients(
              (io.grpc.stub.StreamObserver<dev.evenkeel.v1.MeasureGradientsResponse>) responseObserver);
        case METHODID_MEASURE_STATISTICS:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.measureStatistics(
              (io.grpc.stub.StreamObserver<dev.evenkeel.v1.StatisticsPartial>) responseObserver);
        case METHODID_NORMALIZE_STREAM:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.normalizeStream(
              (io.grpc.stub.StreamObserver<dev.evenkeel.v1.NormalizeStreamResponse>) responseObserver);
        case METHODID_DROPOUT_STREAM:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.dropoutStream(
              (io.grpc.stub.StreamObserver<dev.evenkeel.v1.DropoutStreamResponse>) responseObserver);
        case METHODID_CLIP_GRADIENTS_STREAM:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.clipGradientsStream(
              (io.grpc.stub.StreamObserver<dev.evenkeel.v1.ClipGradientsStreamResponse>) responseObserver);
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getNormalizeMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.evenkeel.v1.NormalizeRequest,
              dev.evenkeel.v1.NormalizeResponse>(
                service, METHODID_NORMALIZE)))
        .addMethod(
          getNormalizeBackwardMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.evenkeel.v1.NormalizeBackwardRequest,
              dev.evenkeel.v1.NormalizeBackwardResponse>(
                service, METHODID_NORMALIZE_BACKWARD)))
        .addMethod(
          getDropoutMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.evenkeel.v1.DropoutRequest,
              dev.evenkeel.v1.DropoutResponse>(
                service, METHODID_DROPOUT)))
        .addMethod(
          getDropoutBackwardMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.evenkeel.v1.DropoutBackwardRequest,
              dev.evenkeel.v1.DropoutBackwardResponse>(
                service, METHODID_DROPOUT_BACKWARD)))
        .addMethod(
          getClipGradientsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.evenkeel.v1.ClipGradientsRequest,
              dev.evenkeel.v1.ClipGradientsResponse>(
                service, METHODID_CLIP_GRADIENTS)))
        .addMethod(
          getMeasureGradientsMethod(),
          io.grpc.stub.ServerCalls.asyncClientStreamingCall(
            new MethodHandlers<
              dev.evenkeel.v1.MeasureGradientsRequest,
              dev.evenkeel.v1.MeasureGradientsResponse>(
                service, METHODID_MEASURE_GRADIENTS)))
        .addMethod(
          getMeasureStatisticsMethod(),
          io.grpc.stub.ServerCalls.asyncClientStreamingCall(
            new MethodHandlers<
              dev.evenkeel.v1.MeasureStatisticsRequest,
              dev.evenkeel.v1.StatisticsPartial>(
                service, METHODID_MEASURE_STATISTICS)))
        .addMethod(
          getMeasureGradientsUnaryMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.evenkeel.v1.MeasureGradientsRequest,
              dev.evenkeel.v1.MeasureGradientsResponse>(
                service, METHODID_MEASURE_GRADIENTS_UNARY)))
        .addMethod(
          getMeasureStatisticsUnaryMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.evenkeel.v1.MeasureStatisticsRequest,
              dev.evenkeel.v1.StatisticsPartial>(
                service, METHODID_MEASURE_STATISTICS_UNARY)))
        .addMethod(
          getNormalizeStreamMethod(),
          io.grpc.stub.ServerCalls.asyncBidiStreamingCall(
            new MethodHandlers<
              dev.evenkeel.v1.NormalizeStreamRequest,
              dev.evenkeel.v1.NormalizeStreamResponse>(
                service, METHODID_NORMALIZE_STREAM)))
        .addMethod(
          getDropoutStreamMethod(),
          io.grpc.stub.ServerCalls.asyncBidiStreamingCall(
            new MethodHandlers<
              dev.evenkeel.v1.DropoutStreamRequest,
              dev.evenkeel.v1.DropoutStreamResponse>(
                service, METHODID_DROPOUT_STREAM)))
        .addMethod(
          getClipGradientsStreamMethod(),
          io.grpc.stub.ServerCalls.asyncBidiStreamingCall(
            new MethodHandlers<
              dev.evenkeel.v1.ClipGradientsStreamRequest,
              dev.evenkeel.v1.ClipGradientsStreamResponse>(
                service, METHODID_CLIP_GRADIENTS_STREAM)))
        .addMethod(
          getGetServerInfoMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.evenkeel.v1.GetServerInfoRequest,
              dev.evenkeel.v1.GetServerInfoResponse>(
                service, METHODID_GET_SERVER_INFO)))
        .build();
  }

  private static abstract class TensorOpsServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    TensorOpsServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return dev.evenkeel.v1.TensorOps.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("TensorOpsService");
    }
  }

  private static final class TensorOpsServiceFileDescriptorSupplier
      extends TensorOpsServiceBaseDescriptorSupplier {
    TensorOpsServiceFileDescriptorSupplier() {}
  }

  private static final class TensorOpsServiceMethodDescriptorSupplier
      extends TensorOpsServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    TensorOpsServiceMethodDescriptorSupplier(java.lang.String methodName) {
      this.methodName = methodName;
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.MethodDescriptor getMethodDescriptor() {
      return getServiceDescriptor().findMethodByName(methodName);
    }
  }

  private static volatile io.grpc.ServiceDescriptor serviceDescriptor;

  public static io.grpc.ServiceDescriptor getServiceDescriptor() {
    io.grpc.ServiceDescriptor result = serviceDescriptor;
    if (result == null) {
      synchronized (TensorOpsServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new TensorOpsServiceFileDescriptorSupplier())
              .addMethod(getNormalizeMethod())
              .addMethod(getNormalizeBackwardMethod())
              .addMethod(getDropoutMethod())
              .addMethod(getDropoutBackwardMethod())
              .addMethod(getClipGradientsMethod())
              .addMethod(getMeasureGradientsMethod())
              .addMethod(getMeasureStatisticsMethod())
              .addMethod(getMeasureGradientsUnaryMethod())
              .addMethod(getMeasureStatisticsUnaryMethod())
              .addMethod(getNormalizeStreamMethod())
              .addMethod(getDropoutStreamMethod())
              .addMethod(getClipGradientsStreamMethod())
              .addMethod(getGetServerInfoMethod())
              .build();
        }
      }
    }
    return result;
  }
}
