package dev.evenkeel.client;

import dev.evenkeel.client.internal.wire.Elements;
import dev.evenkeel.client.internal.wire.Outgoing;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.NoSuchElementException;

/**
 * The messages of a stream's request: whole ones, and elements that are cut into pieces when their
 * turn comes.
 */
final class Pieces implements Iterator<Outgoing> {
  /** Makes the message of a piece. */
  interface Cut {
    Outgoing message(Elements elements, long offset, long length);
  }

  private record Item(Outgoing message, Elements elements, Cut cut) {}

  private final long most;
  private final Deque<Item> items = new ArrayDeque<>();
  private long offset;

  /** Pieces of at most so many bytes. */
  Pieces(long most) {
    this.most = most;
  }

  Pieces add(Outgoing message) {
    items.add(new Item(message, null, null));
    return this;
  }

  /** Adds elements, in messages of the field `data`. */
  Pieces add(Elements elements) {
    return add(elements, Outgoing::data);
  }

  Pieces add(Elements elements, Cut cut) {
    if (elements.byteLength() > 0) {
      items.add(new Item(null, elements, cut));
    }
    return this;
  }

  @Override
  public boolean hasNext() {
    return !items.isEmpty();
  }

  @Override
  public Outgoing next() {
    Item item = items.peek();
    if (item == null) {
      throw new NoSuchElementException();
    }
    if (item.message != null) {
      items.remove();
      return item.message;
    }
    long length = Math.min(most, item.elements.byteLength() - offset);
    Outgoing piece = item.cut.message(item.elements, offset, length);
    offset += length;
    if (offset == item.elements.byteLength()) {
      items.remove();
      offset = 0;
    }
    return piece;
  }
}
