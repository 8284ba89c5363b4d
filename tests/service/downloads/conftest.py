"""A shelf of files to download, from a door that is really served."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes

import httpx
import pytest

from stager.engine import fingerprint_of_file
from stager.records.database import new_id
from stager.records.downloads import DownloadBegun, DownloadEnded, write_downloads
from tests import behind_nginx
from tests.open_folder import open_folder
from tests.patience import PATIENCE
from tests.ports import NO_PREFECT

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

# Sent as one message, and through a pipe.
SMALL, LARGE = 1000, 3 * 1024 * 1024 + 7
LONG_AGO = 1_700_000_000


@dataclass(frozen=True)
class Shelf:
    """The source area of a door, and ways to ask for what is in it."""

    door: ServedDoor

    def content(self, size: int) -> bytes:
        return random.Random(size).randbytes(size)

    def put(self, name: str, data: bytes) -> Path:
        """Write a file once, and return when its times are no news any more."""
        path = self.door.source / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            os.utime(path, (LONG_AGO, LONG_AGO))
        while time.time() - path.stat().st_ctime < 2.1:
            time.sleep(0.1)
        return path

    def sparse(self, name: str, size: int) -> Path:
        path = self.door.source / name
        with path.open("wb") as stream:
            stream.truncate(size)
        return path

    def address(self, name: str | bytes, area: str = "source") -> str:
        return f"/files/{area}/{quote_from_bytes(os.fsencode(name))}"

    def get(self, file: Path, headers: dict[str, str] | None = None, **query: str) -> httpx.Response:
        name = str(file.relative_to(self.door.source))
        return self.door.client.get(self.address(name), headers=headers, params=query)

    def head(self, file: Path, headers: dict[str, str] | None = None, **query: str) -> httpx.Response:
        name = str(file.relative_to(self.door.source))
        return self.door.client.head(self.address(name), headers=headers, params=query)

    def etag(self, file: Path) -> str:
        return str(self.head(file).headers["etag"])

    def knows(self, file: Path, checksum: str) -> None:
        """Write down that a file was read whole, and which checksum it had."""
        one = DownloadBegun(
            id=new_id(), username="alice", area="source", path=file.name, destination="-", acting_as="-"
        )
        ended = DownloadEnded(
            id=one.id,
            bytes_sent=file.stat().st_size,
            checksum=checksum,
            checksum_algorithm="adler32",
            source_fingerprint=fingerprint_of_file(file.stat()),
        )
        write_downloads(self.door.database, [one], [ended], seconds=60)

    def downloads_of(self, source: str) -> Iterator[dict[str, Any]]:
        """Give the records of a source's downloads, the newest first."""
        page = self.door.client.get("/requests", params={"method": "direct_download", "limit": 200}).json()
        records = (self.door.request(summary["request_id"]) for summary in page["requests"])
        return (record for record in records if record["items"][0]["source"] == source)

    def record(self, source: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the newest download of a source once its record is as wanted."""
        deadline = time.monotonic() + PATIENCE
        while not (found := next(self.downloads_of(source), None)) or not holds(found):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found


@pytest.fixture(scope="session")
def shelf(lone_door: ServedDoor) -> Shelf:
    return Shelf(lone_door)


@pytest.fixture(scope="session", params=[SMALL, LARGE], ids=["small", "large"])
def file(request: pytest.FixtureRequest, shelf: Shelf) -> Path:
    """A file that nobody has touched lately."""
    return shelf.put(f"file-{request.param}", shelf.content(request.param))


@pytest.fixture(scope="session")
def shelf_content() -> Callable[[int], bytes]:
    return lambda size: random.Random(size).randbytes(size)


@pytest.fixture(scope="module", params=[{}, behind_nginx.VARIABLES], ids=["alone", "behind nginx"])
def open_shelf(
    request: pytest.FixtureRequest,
    serve: Callable[..., AbstractContextManager[ServedDoor]],
) -> Iterator[Shelf]:
    """A shelf in an area that users may enter: Alice and Bob, who share a group."""
    users = "".join(
        f"[users.{name}]\nuid = {uid}\ngid = 70010\ngroups = [70011]\n"
        for name, uid in (("alice", 70_001), ("bob", 70_002))
    )
    with open_folder() as folder:
        url = f"sqlite:///{folder}/records.db"
        with serve(folder, database_url=url, prefect_api=NO_PREFECT, **request.param) as door:
            (folder / "users.toml").write_text(users)
            yield Shelf(door)
