package dev.evenkeel.client;

/**
 * A field that does not fit.
 *
 * @param path the path of the field in the request, such as {@code input.shape[2]}, or the name of
 *     an argument
 * @param description why the field is refused
 */
public record FieldViolation(String path, String description) {}
