/**
 * A server for the tests of programs: {@link dev.evenkeel.client.testing.TestServer}, and an
 * extension of JUnit 5 around it.
 */
package dev.evenkeel.client.testing;
