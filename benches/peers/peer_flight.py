"""Arrow Flight's DoExchange: a server that echoes record batches, and a client that loads it.

    python peer_flight.py serve
    python peer_flight.py load HOST:PORT

The first line of the server says where it listens. The client reads lines `BYTES SECONDS` and answers each with the GB/s each way
of batches of so many bytes of float32.
"""

import sys
import threading
import time

import numpy as np
import pyarrow as pa
from pyarrow import flight

# Bytes of one exchange, as of one stream of the other side.
EXCHANGE = 64 << 20


class Echo(flight.FlightServerBase):
    def do_exchange(self, context, descriptor, reader, writer):
        is_first = True
        for chunk in reader:
            if is_first:
                writer.begin(chunk.data.schema)
                is_first = False
            writer.write_batch(chunk.data)


def exchange(client, batch, count):
    """Sends `count` batches, and reads as many back meanwhile."""
    writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(b"echo"))

    def send():
        writer.begin(batch.schema)
        for _ in range(count):
            writer.write_batch(batch)
        writer.done_writing()

    sender = threading.Thread(target=send)
    sender.start()
    came = 0
    last = None
    for chunk in reader:
        came += 1
        last = chunk.data
    sender.join()
    writer.close()
    if came != count or not last.equals(batch):
        raise SystemExit(f"{came} of {count} batches came back, or not the same")


def load(address):
    client = flight.connect(f"grpc+tcp://{address}")
    for line in sys.stdin:
        chunk, seconds = int(line.split()[0]), float(line.split()[1])
        elements = np.arange(chunk // 4, dtype=np.float32)
        batch = pa.record_batch([pa.array(elements)], names=["x"])
        count = EXCHANGE // chunk
        exchange(client, batch, count)
        begun, exchanges = time.monotonic(), 0
        while time.monotonic() - begun < seconds:
            exchange(client, batch, count)
            exchanges += 1
        print(exchanges * count * chunk / 1e9 / (time.monotonic() - begun), flush=True)


def main():
    match sys.argv[1:]:
        case ["serve"]:
            server = Echo("grpc+tcp://127.0.0.1:0")
            print(f"listening on 127.0.0.1:{server.port}", flush=True)
            server.serve()
        case ["load", address]:
            load(address)
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
