"""What is being sent tells how far it is; when somebody cancels it, it stops, and its record closes."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from stager.records.requests import cancel_request
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.service.downloads.conftest import Shelf

SIZE = 256 * 1024 * 1024  # more than all buffers between the door and a client
ON_ITS_WAY = 1024 * 1024  # what the server may have taken and loses when the connection is cut


def begun(shelf: Shelf, name: str, query: str = "") -> tuple[socket.socket, str]:
    """Return a client that has a download's first bytes, and the request's id."""
    client = socket.create_connection(("127.0.0.1", int(shelf.door.url.rpartition(":")[2])), timeout=PATIENCE)
    client.sendall(f"GET {shelf.address(name)}{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert client.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200"
    return client, str(shelf.record(name, lambda row: row["status"] == "started")["request_id"])


def slowly_read(client: socket.socket) -> int:
    """Return how many bytes of a body come before the connection is cut."""
    with client, client.makefile("rb") as answer:
        while answer.readline().strip():
            pass
        taken = 0
        while block := answer.read(64 * 1024):
            taken += len(block)
            time.sleep(0.01)
        return taken


def cancelled(shelf: Shelf, name: str) -> dict[str, Any]:
    return shelf.record(name, lambda row: row["status"] == "cancelled")


def test_while_it_is_sent_a_download_tells_how_far_it_is(shelf: Shelf) -> None:
    shelf.sparse("under-way", SIZE)
    client, _request_id = begun(shelf, "under-way")

    def item_with_more_than(sent: int) -> dict[str, Any]:
        row = shelf.record("under-way", lambda row: row["items"][0]["progress"]["bytes_done"] > sent)
        return dict(row["items"][0])

    with client:
        assert item_with_more_than(0)["size_bytes"] == SIZE
        read = 0
        while read < SIZE // 2:
            read += len(client.recv(1024 * 1024))
        assert item_with_more_than(SIZE // 4)["status"] == "started"
    cancelled(shelf, "under-way")


@pytest.mark.parametrize(("kind", "query"), [("file", ""), ("tar", ""), ("zip", "?archive=zip")])
@pytest.mark.parametrize("by", ["request", "item"])
def test_a_download_that_is_cancelled_is_cut_and_the_record_has_what_was_sent(
    shelf: Shelf, kind: str, query: str, by: str
) -> None:
    name = f"cancelled-{kind}-{by}"
    if kind == "file":
        shelf.sparse(name, SIZE)
    else:
        (shelf.door.source / name).mkdir()
        shelf.sparse(f"{name}/large", SIZE)
    client, request_id = begun(shelf, name, query)
    body = {"items": [0]} if by == "item" else None
    answer = shelf.door.client.post(f"/requests/{request_id}/cancel", json=body)
    taken = slowly_read(client)

    assert answer.status_code == 202
    found = cancelled(shelf, name)
    sent = found["items"][0]["progress"]["bytes_done"]
    assert 0 < taken <= sent <= taken + ON_ITS_WAY < SIZE
    assert found["error_reason"].startswith(f"cancelled on request after {sent} of ")


def test_a_client_that_does_not_read_holds_no_cancelled_download(shelf: Shelf) -> None:
    shelf.sparse("cancelled-unread", SIZE)
    client, request_id = begun(shelf, "cancelled-unread")
    with client:
        cancel_request(shelf.door.database, request_id)  # as another service does that has the same records
        found = cancelled(shelf, "cancelled-unread")

    assert 0 < found["items"][0]["progress"]["bytes_done"] < SIZE
