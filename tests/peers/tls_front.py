"""TLS before a server that speaks none, with a certificate that nobody else has signed."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from pathlib import Path

from tests.peers.listener import Listener
from tests.peers.own_certificate import own_certificate


class TlsFront(Listener):
    """Hands on calls without a body that come over TLS, one a connection, to a port of this machine."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__()
        self.certificate = own_certificate(folder)
        self._behind = port
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")

    def _serve(self, connection: socket.socket) -> None:
        with (
            suppress(OSError),
            self._context.wrap_socket(connection, server_side=True) as front,
            socket.create_connection(("127.0.0.1", self._behind)) as behind,
        ):
            call = bytearray()
            while not call.endswith(b"\r\n\r\n"):
                call += front.recv(1) or b"\r\n\r\n"
            behind.sendall(call.replace(b"keep-alive", b"close"))
            while piece := behind.recv(1 << 16):
                front.sendall(piece)
