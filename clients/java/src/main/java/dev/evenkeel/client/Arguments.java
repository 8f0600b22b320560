package dev.evenkeel.client;

import java.math.BigInteger;
import java.util.Arrays;
import java.util.Locale;

/** Checks of arguments that more than one call has. */
final class Arguments {
  private static final int WORD = 64;

  private Arguments() {}

  /** An argument that must not be null. */
  static <T> T required(String name, T value) {
    if (value == null) {
      throw InvalidArgumentException.of(name, "required");
    }
    return value;
  }

  /** The constant with this name in lower case. */
  static <E extends Enum<E>> E named(String argument, Class<E> type, String name) {
    for (E constant : type.getEnumConstants()) {
      if (constant.name().toLowerCase(Locale.ROOT).equals(name)) {
        return constant;
      }
    }
    String names = Arrays.toString(type.getEnumConstants()).toLowerCase(Locale.ROOT);
    throw InvalidArgumentException.of(argument, "expected one of " + names + ", got " + name);
  }

  /** A number that must not be negative. */
  static int notNegative(String name, int value) {
    if (value < 0) {
      throw InvalidArgumentException.of(name, "expected no negative number, got " + value);
    }
    return value;
  }

  /** The bits of an unsigned number of 64 bits. */
  static long unsigned(String name, BigInteger value) {
    if (required(name, value).signum() < 0 || value.bitLength() > WORD) {
      throw InvalidArgumentException.of(name, "expected 0 to 2^64 - 1, got " + value);
    }
    return value.longValue();
  }
}
