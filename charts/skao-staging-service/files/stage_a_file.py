"""Stage a file through the API and a worker, and look at what came of it: `helm test` runs this.

Where authentication is on and it has no token, it checks that the API refuses
it, and writes the request into the records itself.

Everything that it needs to know is in its environment; it ends with an
error that says what is wrong.
"""

import hashlib
import os
import stat
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx

from stager.models import StagingItem, StagingRequest
from stager.records.database import Database
from stager.records.requests import create_request, get_request

SOURCES = Path(os.environ["SOURCE_STORAGE_PATH"])
USER_AREAS = Path(os.environ["TARGET_STORAGE_PATH"])
USERNAME = os.environ["TEST_USERNAME"]
# A file of the source area, relative to it; without one, a file is made there.
FILE = os.environ.get("TEST_FILE", "")
# Whether authentication is on; and a token to call with, if there is one.
IS_LOCKED = "STAGER_ACCESS_FILE" in os.environ
TOKEN = os.environ.get("TEST_TOKEN", "")
PATIENCE = 300.0


def check(sentence: str, *, is_so: bool) -> None:
    """End with a sentence unless something is so."""
    if not is_so:
        sys.exit(f"FAILED: {sentence}")
    print(f"ok: {sentence}")


def checksum(path: Path) -> str:
    """Return the SHA-256 of a small file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def made(name: str) -> Path:
    """Return a new file in the source area that everybody may read."""
    path = SOURCES / name
    path.write_bytes(os.urandom(1_000_003))
    path.chmod(0o444)
    return path


def look_at(staged: Path, source: Path) -> None:
    """Check that a staged file is its user's, read-only and the same."""
    about = staged.stat()
    wanted = int(os.environ.get("STAGER_FILE_MODE", "0400"), 8)
    check(f"the mode is {stat.S_IMODE(about.st_mode):04o}", is_so=stat.S_IMODE(about.st_mode) == wanted)
    check(f"the owner is {about.st_uid}", is_so=about.st_uid == int(os.environ["TEST_UID"]))
    check(f"the group is {about.st_gid}", is_so=about.st_gid == int(os.environ["TEST_GID"]))
    check("the bytes are those of the source", is_so=checksum(staged) == checksum(source))


def ended(look: Callable[[], tuple[str, str | None] | None]) -> None:
    """Wait for a request's end, and check how it ended: its status, and the reason."""
    deadline = time.monotonic() + PATIENCE
    while (ending := look()) is None:
        if time.monotonic() > deadline:
            sys.exit(f"FAILED: the request has not ended within {PATIENCE:.0f} s")
        time.sleep(1)
    check(f"the record says {ending[0]}: {ending[1]}", is_so=ending[0] == "completed")


def call(client: httpx.Client, source: str, name: str) -> httpx.Response:
    """Ask the service for a staging, as the demo did."""
    query = {"method": "local_copy", "username": USERNAME}
    body = {"data": {"local_path_on_storage": source, "relative_path": name}}
    return client.post("/stage_data", params=query, json=body)


def refused(client: httpx.Client, source: str, name: str) -> None:
    """Check that authentication is on: a call without a token has no effect."""
    answer = call(client, source, name)
    is_so = answer.status_code == httpx.codes.UNAUTHORIZED
    check(f"a call without a token is refused ({answer.status_code})", is_so=is_so)


def asked_by_api(client: httpx.Client, source: str, name: str) -> None:
    """Ask for a file to be staged, and check what the service says and writes down."""
    answer = call(client, source, name)
    check(f"the service answers {answer.status_code}: {answer.text}", is_so=answer.is_success)

    def look() -> tuple[str, str | None] | None:
        for request in client.get("/requests", params={"username": USERNAME}).raise_for_status().json()["requests"]:
            record = client.get(f"/requests/{request['request_id']}").raise_for_status().json()
            if record["items"][0]["destination"] == name and record["finished_at"]:
                return record["status"], record["error_reason"]
        return None

    ended(look)


def recorded_inside(source: str, name: str) -> None:
    """Write the request down as the service does for whom it lets in: it looks for such, and asks for their runs."""
    item = StagingItem(source=source, destination=name)
    request = StagingRequest(method="local_copy", username=USERNAME, items=(item,))
    database = Database(os.environ["STAGER_DATABASE_URL"])
    recorded = create_request(database, request, origin="helm-test")

    def look() -> tuple[str, str | None] | None:
        record = get_request(database, recorded.id)
        return (record.status, record.error_reason) if record.finished_at else None

    ended(look)


def stage(source: str, name: str) -> None:
    """Have a file staged: by the door, or, where it is locked and there is no key, from inside."""
    with httpx.Client(base_url=os.environ["TEST_URL"], timeout=PATIENCE) as client:
        if IS_LOCKED:
            refused(client, source, name)
        if IS_LOCKED and not TOKEN:
            recorded_inside(source, name)
            return
        if TOKEN:
            client.headers["Authorization"] = f"Bearer {TOKEN}"
        asked_by_api(client, source, name)


def main() -> None:
    """Stage, look, remove."""
    name = f"helm-test-{uuid.uuid4().hex}"
    source = SOURCES / FILE if FILE else made(name)
    staged = USER_AREAS / USERNAME / name
    try:
        stage(str(source.relative_to(SOURCES)), name)
        look_at(staged, source)
    finally:
        staged.unlink(missing_ok=True)
        if not FILE:
            source.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
