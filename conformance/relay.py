"""A relay between clients and a server that breaks connections when it is told to."""

import contextlib
import socket
import struct
import threading

# Closing sends a reset and drops what is unsent.
RESET = struct.pack("ii", 1, 0)


class Relay:
    """Listens on a free port of 127.0.0.1 and passes bytes on, until `cut_after`."""

    def __init__(self, target: int):
        self.target = target
        self.budget: int | None = None
        self.lock = threading.Lock()
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def cut_after(self, size: int) -> None:
        """Breaks the connection that brings the client so many more bytes."""
        with self.lock:
            self.budget = size

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    client.close()
                    continue
                self.pairs.append((client, server))
                threading.Thread(target=self.pass_on, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self.pass_on, args=(server, client, True), daemon=True).start()

    def pass_on(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                if counted and self.spent(len(data)):
                    for end in (sink, source):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                        # This wakes the thread of the other direction, which would keep the socket open.
                        end.shutdown(socket.SHUT_RD)
                        end.close()
                    return
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def spent(self, size: int) -> bool:
        with self.lock:
            if self.budget is None:
                return False
            self.budget -= size
            if self.budget > 0:
                return False
            self.budget = None
            return True

    def close(self) -> None:
        self.listener.close()
        for pair in self.pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
