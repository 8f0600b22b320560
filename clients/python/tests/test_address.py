from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake import Fake, normalized

from evenkeel_client import Client, InvalidArgument, Unavailable
from evenkeel_client._address import Address
from evenkeel_client.testing import Server

SETTINGS: dict[str, Any] = {
    "token": None,
    "allow_plaintext": False,
    "ca": None,
    "cert": None,
    "key": None,
    "server_name": None,
}
X = np.ones((1, 4), np.float32)
PEM = b"-----BEGIN CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("address", "target", "is_encrypted"),
    [
        ("127.0.0.1:50051", "127.0.0.1:50051", False),
        ("example.com:1", "example.com:1", False),
        ("http://example.com:1", "example.com:1", False),
        ("HTTP://example.com:1/", "example.com:1", False),
        ("http://example.com", "example.com:80", False),
        ("https://example.com", "example.com:443", True),
        ("https://[::1]", "[::1]:443", True),
        ("https://[::1]:5", "[::1]:5", True),
        ("unix:/run/socket", "unix:/run/socket", False),
        ("unix:///run/socket", "unix:/run/socket", False),
    ],
)
def test_addresses_have_several_forms(address: str, target: str, is_encrypted: bool) -> None:
    made = Address.of(address, **SETTINGS)
    assert (made.target, made.credentials is not None) == (target, is_encrypted)


@pytest.mark.parametrize(
    ("address", "settings", "path"),
    [
        ("", {}, "address"),
        (None, {}, "address"),
        ("ftp://example.com:1", {}, "address"),
        ("https://", {}, "address"),
        ("https://example.com/path", {}, "address"),
        ("https://user@example.com", {}, "address"),
        ("http://example.com:1", {"ca": PEM}, "ca"),
        ("example.com:1", {"cert": PEM, "key": PEM}, "cert"),
        ("example.com:1", {"server_name": "other"}, "server_name"),
        ("https://example.com:1", {"cert": PEM}, "key"),
        ("https://example.com:1", {"key": PEM}, "cert"),
        ("https://example.com:1", {"ca": b"no PEM"}, "ca"),
        ("https://example.com:1", {"token": ""}, "token"),
        ("https://example.com:1", {"token": "line\n"}, "token"),
        ("https://example.com:1", {"token": 5}, "token"),
        ("example.com:1", {"token": "secret"}, "token"),
        ("http://[2001:db8::1]:1", {"token": "secret"}, "token"),
        ("localhost.example.com:1", {"token": "secret"}, "token"),
    ],
)
def test_settings_that_cannot_be_used_are_named(address: Any, settings: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Address.of(address, **{**SETTINGS, **settings})
    assert caught.value.fields[0].path == path
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:1",
        "127.9.9.9:1",
        "LocalHost:1",
        "http://[::1]:1",
        "[::ffff:127.0.0.1]:1",
        "unix:/s",
        "https://example.com",
    ],
)
def test_a_token_goes_to_this_machine_and_over_tls(address: str) -> None:
    assert Address.of(address, **{**SETTINGS, "token": "t"}).metadata == (("authorization", "Bearer t"),)


def test_a_token_goes_in_plain_text_if_that_is_asked_for() -> None:
    assert Address.of("example.com:1", **{**SETTINGS, "token": "t", "allow_plaintext": True}).metadata


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"connections": 0}, "connections"),
        ({"retries": -1}, "retries"),
        ({"timeout": "1"}, "timeout"),
        ({"timeout": -1}, "timeout"),
    ],
)
def test_numbers_out_of_range_are_named(settings: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Client("127.0.0.1:1", **settings)
    assert caught.value.fields[0].path == path


def test_the_pool_has_as_many_connections_as_the_setting_says(clients: Any) -> None:
    peers: list[str] = []

    def answer(number: int, request: bytes, context: Any) -> bytes:
        del number
        peers.append(context.peer())
        return normalized(request)

    with Fake({"Normalize": answer}) as server:
        client = clients(server.address, connections=3)
        for _ in range(6):
            client.layer_norm(X)
    assert len(set(peers)) == 3
    assert peers[:3] == peers[3:]


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a self-signed certificate and its key."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    # A server refuses the certificate of an authority where a client's is due.
    extensions = ["-addext", f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=critical,CA:FALSE"]
    names = ["-subj", f"/CN={name}", *extensions, "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command, *names], check=True, capture_output=True)
    return cert, key


def test_tls_checks_the_server_and_shows_the_clients_certificate(clients: Any, tmp_path: Path) -> None:
    (cert, key), (own, own_key) = certificate(tmp_path, "server.test"), certificate(tmp_path, "client.test")
    flags = ["--tls-cert", str(cert), "--tls-key", str(key), "--tls-client-ca", str(own)]
    with Server(*flags) as server:
        trusted = {"ca": cert, "server_name": "server.test"}
        shown = {"cert": own.read_bytes(), "key": str(own_key)}
        assert clients(server.address, **trusted, **shown).layer_norm(X).axes == (1,)
        for settings in (trusted, {"ca": cert, **shown}, {**trusted, **shown, "ca": own}):
            with pytest.raises(Unavailable):
                clients(server.address, retries=0, **settings).layer_norm(X)
