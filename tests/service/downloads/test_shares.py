"""However much one user has read, the others are served."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from stager.downloads.shared import THREADS
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.service.downloads.conftest import Shelf

pytestmark = pytest.mark.any_database

# So much is made and thrown away before the last byte of an archive: longer than any test takes.
ENDLESS = 8 << 40
LAST_BYTE = "Range: bytes=-1\r\n"


@pytest.fixture
def endless(shelf: Shelf) -> Iterator[str]:
    """A directory whose zip ends never, for a test."""
    (shelf.door.source / "endless").mkdir()
    file = shelf.sparse("endless/zeros", ENDLESS)
    yield "/files/source/endless?archive=zip"
    file.unlink()
    file.parent.rmdir()


def ask_for_the_end(shelf: Shelf, address: str, username: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", int(shelf.door.url.rpartition(":")[2])))
    client.sendall(f"GET {address}&username={username} HTTP/1.1\r\nHost: x\r\n{LAST_BYTE}\r\n".encode())
    return client


def all_are(shelf: Shelf, status: str, *, many: int) -> None:
    """Return when so many downloads of it are on record as that."""
    deadline = time.monotonic() + PATIENCE
    while (said := [found["status"] for found in shelf.downloads_of("endless")]) != [status] * many:
        assert time.monotonic() < deadline, said
        time.sleep(0.2)


def test_a_user_whose_reading_never_ends_holds_up_nobody_else(shelf: Shelf, endless: str) -> None:
    (shelf.door.source / "small").write_bytes(b"data")
    many = THREADS + 1
    with ExitStack() as clients:
        for _ in range(many):
            clients.enter_context(ask_for_the_end(shelf, endless, "alice"))
        all_are(shelf, "started", many=many)
        assert shelf.door.client.get("/files/source/small").content == b"data"
        assert shelf.door.client.get("/areas/source/entries").is_success
    all_are(shelf, "cancelled", many=many)  # they have hung up
