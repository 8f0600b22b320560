/** Listens to signals with one listener each, however many calls follow it: Node warns of more than ten. */

interface Followers {
  readonly callbacks: Set<() => void>;
  readonly listener: () => void;
}

const followed = new WeakMap<AbortSignal, Followers>();

/** Calls back when the signal is aborted, which it is not yet. Returns what ends this. */
export function follow(signal: AbortSignal, callback: () => void): () => void {
  let followers = followed.get(signal);
  if (followers === undefined) {
    const callbacks = new Set<() => void>();
    const listener = (): void => {
      for (const each of callbacks) each();
    };
    followers = { callbacks, listener };
    followed.set(signal, followers);
    signal.addEventListener("abort", listener, { once: true });
  }
  const { callbacks, listener } = followers;
  callbacks.add(callback);
  return () => {
    callbacks.delete(callback);
    if (callbacks.size > 0 || followed.get(signal)?.callbacks !== callbacks) return;
    followed.delete(signal);
    signal.removeEventListener("abort", listener);
  };
}
