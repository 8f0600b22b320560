package dev.evenkeel.client.internal.rpc;

import java.nio.file.Path;

/**
 * How connections are made.
 *
 * @param address where the server listens
 * @param connections how many connections the calls share
 * @param authorization the value of the header of this name; null: none is sent
 * @param encrypted whether TLS is used
 * @param ca the certificates that are trusted, in PEM; null: those of the Java runtime
 * @param certificate the client's certificate, in PEM; null: none
 * @param key the key of the certificate, in PEM
 * @param serverName the name in the server's certificate; null: the host of the address
 */
public record Transport(
    Address address,
    int connections,
    String authorization,
    boolean encrypted,
    Path ca,
    Path certificate,
    Path key,
    String serverName) {}
