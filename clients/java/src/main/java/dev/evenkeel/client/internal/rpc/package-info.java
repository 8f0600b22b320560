/**
 * Connections, and the three forms of calls. Not for programs: this package may change with any
 * version.
 */
package dev.evenkeel.client.internal.rpc;
