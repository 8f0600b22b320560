"""Where a server is, and how connections to it are made."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from ._options import flag
from ._version import __version__
from .errors import InvalidArgument

Pem = str | bytes | os.PathLike[str]
"""PEM: its bytes, or the path of a file."""

_FRAME_BYTES = (1 << 24) - 1
_WINDOW_BYTES = 16 << 20
_OPTIONS: list[tuple[str, Any]] = [
    # The server's limits are asked for; those of the library would only be in the way.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # The client retries by itself: gRPC would buffer each request, and does not know RetryInfo.
    ("grpc.enable_retries", 0),
    # Frames of 16 KiB, and windows that the server must wait for, cost a third of the throughput of large tensors.
    ("grpc.http2.max_frame_size", _FRAME_BYTES),
    ("grpc.http2.lookahead_bytes", _WINDOW_BYTES),
    # Channels to one address share their connection otherwise.
    ("grpc.use_local_subchannel_pool", 1),
    # After a failed attempt the library refuses calls for this long, so it must not be longer than the client's backoff.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5000),
    ("grpc.primary_user_agent", f"evenkeel-client-python/{__version__}"),
]


@dataclass(frozen=True, repr=False)
class Address:
    """A server's address, with what connections to it need. It has secrets, and so no representation."""

    target: str
    credentials: grpc.ChannelCredentials | None
    options: list[tuple[str, Any]]
    metadata: tuple[tuple[str, str], ...]

    @classmethod
    def of(
        cls,
        address: Any,
        *,
        token: Any,
        allow_plaintext: bool,
        ca: Pem | None,
        cert: Pem | None,
        key: Pem | None,
        server_name: str | None,
    ) -> Address:
        """Check the settings of a client, and read the files that they name."""
        if not isinstance(address, str) or not address:
            raise InvalidArgument.of("address", "expected HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix:PATH")
        scheme, target = _parsed(address)
        is_encrypted = scheme == "https" or ca is not None
        if scheme == "http" and ca is not None:
            raise InvalidArgument.of("ca", f"{address} is not encrypted: TLS needs https://")
        options = list(_OPTIONS)
        credentials = None
        if is_encrypted:
            credentials = _credentials(ca, cert, key)
            if server_name is not None:
                options.append(("grpc.ssl_target_name_override", server_name))
        else:
            if scheme == "unix":
                # The library would send the path, which is no name of a host, and which servers refuse.
                options.append(("grpc.default_authority", "localhost"))
            for path, value in (("cert", cert), ("key", key), ("server_name", server_name)):
                if value is not None:
                    raise InvalidArgument.of(path, f"{address} is not encrypted: TLS needs https:// or a `ca`")
        is_safe = is_encrypted or flag("allow_plaintext", allow_plaintext) or _is_local(target)
        return cls(target, credentials, options, _authorization(token, address, is_safe))


def _parsed(address: str) -> tuple[str, str]:
    """Return the scheme, if there is one, and the target in gRPC's form."""
    if address.lower().startswith("unix:"):
        path = address[len("unix:") :]
        return "unix", "unix:" + (path[2:] if path.startswith("///") else path)
    scheme, separator, rest = address.partition("://")
    if not separator:
        return "", address
    if scheme.lower() not in ("http", "https") or not rest.strip("/"):
        raise InvalidArgument.of("address", f"expected http://, https:// or unix:, got {scheme}://")
    host, _, path = rest.partition("/")
    if "@" in host or path:
        raise InvalidArgument.of("address", "expected nothing but a host and a port")
    has_port = host.rpartition("]")[2].rpartition(":")[1]
    default = "443" if scheme.lower() == "https" else "80"
    return scheme.lower(), host if has_port else f"{host}:{default}"


def _is_local(target: str) -> bool:
    """Return whether calls do not leave this machine."""
    if target.startswith("unix:"):
        return True
    host = target.rpartition(":")[0].strip("[]")
    if host.lower() == "localhost":
        return True
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


def _authorization(token: Any, address: str, is_safe: bool) -> tuple[tuple[str, str], ...]:
    if token is None:
        return ()
    if not isinstance(token, str) or not token or not all("!" <= character <= "~" for character in token):
        raise InvalidArgument.of("token", "expected visible ASCII characters, without spaces and line breaks")
    if not is_safe:
        reason = f"{address} is another machine, and the token would not be encrypted: use https://, or allow_plaintext"
        raise InvalidArgument.of("token", reason)
    return (("authorization", f"Bearer {token}"),)


def _credentials(ca: Pem | None, cert: Pem | None, key: Pem | None) -> grpc.ChannelCredentials:
    if (cert is None) != (key is None):
        path = "key" if key is None else "cert"
        raise InvalidArgument.of(path, "expected both `cert` and `key`, or neither")
    return grpc.ssl_channel_credentials(_read("ca", ca), _read("key", key), _read("cert", cert))


def _read(path: str, pem: Pem | None) -> bytes | None:
    if pem is None:
        return None
    data = pem if isinstance(pem, bytes) else Path(pem).read_bytes()
    if b"-----BEGIN" not in data:
        raise InvalidArgument.of(path, "expected PEM")
    return data
