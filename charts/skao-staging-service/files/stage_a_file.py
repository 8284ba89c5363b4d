"""Stage a file through the API and a worker, and look at what came of it: `helm test` runs this.

Everything that it needs to know is in its environment; it ends with an
error that says what is wrong.
"""

import hashlib
import os
import stat
import sys
import time
import uuid
from pathlib import Path

import httpx

SOURCES = Path(os.environ["SOURCE_STORAGE_PATH"])
USER_AREAS = Path(os.environ["TARGET_STORAGE_PATH"])
USERNAME = os.environ["TEST_USERNAME"]
# A file of the source area, relative to it; without one, a file is made there.
FILE = os.environ.get("TEST_FILE", "")
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


def outcome(client: httpx.Client, destination: str) -> dict:
    """Return the record of what was staged to a destination, once it has ended."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for request in client.get("/requests", params={"username": USERNAME}).raise_for_status().json()["requests"]:
            record = client.get(f"/requests/{request['request_id']}").raise_for_status().json()
            if record["items"][0]["destination"] == destination and record["finished_at"]:
                return record
        time.sleep(1)
    sys.exit(f"FAILED: no request for {destination} has ended within {PATIENCE:.0f} s")


def look_at(staged: Path, source: Path) -> None:
    """Check that a staged file is its user's, read-only and the same."""
    about = staged.stat()
    wanted = int(os.environ.get("STAGER_FILE_MODE", "0400"), 8)
    check(f"the mode is {stat.S_IMODE(about.st_mode):04o}", is_so=stat.S_IMODE(about.st_mode) == wanted)
    check(f"the owner is {about.st_uid}", is_so=about.st_uid == int(os.environ["TEST_UID"]))
    check(f"the group is {about.st_gid}", is_so=about.st_gid == int(os.environ["TEST_GID"]))
    check("the bytes are those of the source", is_so=checksum(staged) == checksum(source))


def stage(source: Path, name: str) -> None:
    """Ask for a file to be staged, and check what the service says and writes down."""
    body = {"data": {"local_path_on_storage": str(source.relative_to(SOURCES)), "relative_path": name}}
    query = {"method": "local_copy", "username": USERNAME}
    with httpx.Client(base_url=os.environ["TEST_URL"], timeout=PATIENCE) as client:
        answer = client.post("/stage_data", params=query, json=body)
        check(f"the service answers {answer.status_code}: {answer.text}", is_so=answer.is_success)
        record = outcome(client, name)
    check(f"the record says {record['status']}: {record['error_reason']}", is_so=record["status"] == "completed")


def main() -> None:
    """Stage, look, remove."""
    name = f"helm-test-{uuid.uuid4().hex}"
    source = SOURCES / FILE if FILE else made(name)
    staged = USER_AREAS / USERNAME / name
    try:
        stage(source, name)
        look_at(staged, source)
    finally:
        staged.unlink(missing_ok=True)
        if not FILE:
            source.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
