package dev.evenkeel.client.conformance;

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import dev.evenkeel.client.DType;
import dev.evenkeel.client.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Base64;
import java.util.HexFormat;
import java.util.Locale;

/** Tensors and numbers of the protocol. */
final class Values {
  private Values() {}

  static Tensor tensor(JsonElement json) {
    JsonObject object = json.getAsJsonObject();
    DType dtype = DType.named(object.get("dtype").getAsString());
    byte[] once = Base64.getDecoder().decode(object.get("data").getAsString());
    int repeat = object.has("repeat") ? object.get("repeat").getAsInt() : 1;
    ByteBuffer data =
        ByteBuffer.allocateDirect(once.length * repeat).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < repeat; i++) {
      data.put(once);
    }
    data.flip();
    switch (object.has("layout") ? object.get("layout").getAsString() : "") {
      case "" -> {
        // as it is
      }
      case "big-endian" -> data = bigEndian(data, dtype.bytes());
      default -> throw new Adapter.Unsupported("Java has no strided arrays");
    }
    long[] shape =
        object.getAsJsonArray("shape").asList().stream()
            .mapToLong(JsonElement::getAsLong)
            .toArray();
    Tensor flat =
        shape.length == 0 ? Tensor.of(dtype, data).reshape() : Tensor.of(dtype, data, shape);
    return object.has("name") ? flat.named(object.get("name").getAsString()) : flat;
  }

  private static ByteBuffer bigEndian(ByteBuffer data, int width) {
    ByteBuffer reversed = ByteBuffer.allocate(data.remaining()).order(ByteOrder.BIG_ENDIAN);
    for (int i = 0; i < data.remaining(); i++) {
      reversed.put(i, data.get(i - i % width + width - 1 - i % width));
    }
    return reversed;
  }

  static JsonObject json(Tensor tensor, boolean digest) {
    JsonObject object = new JsonObject();
    object.addProperty("dtype", tensor.dtype().name().toLowerCase(Locale.ROOT));
    object.add("shape", new Gson().toJsonTree(tensor.shape()));
    byte[] bytes = tensor.bytes().array();
    if (digest) {
      object.addProperty("sha256", HexFormat.of().formatHex(sha256(bytes)));
    } else {
      object.addProperty("data", Base64.getEncoder().encodeToString(bytes));
    }
    if (!tensor.name().isEmpty()) {
      object.addProperty("name", tensor.name());
    }
    return object;
  }

  private static byte[] sha256(byte[] bytes) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(bytes);
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  static JsonPrimitive number(double x) {
    return Double.isFinite(x) ? new JsonPrimitive(x) : new JsonPrimitive(Double.toString(x));
  }

  static JsonPrimitive bytes(byte[] bytes) {
    return new JsonPrimitive(Base64.getEncoder().encodeToString(bytes));
  }

  static byte[] bytes(JsonElement json) {
    return Base64.getDecoder().decode(json.getAsString());
  }
}
