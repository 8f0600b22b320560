/**
 * How messages become bytes and bytes become messages, without a copy of the elements in between.
 * Not for programs: this package may change with any version.
 */
package dev.evenkeel.client.internal.wire;
