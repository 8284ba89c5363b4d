"""Downloads from a real object store: by an address of the store's, for what the caller may read and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest

from stager.peers.certificates import trusting
from tests.open_folder import open_folder
from tests.patience import PATIENCE
from tests.peers.running_rgw import RunningRgw
from tests.peers.s3.conftest import BUCKET, brought, connection_to, rgw  # noqa: F401 - the store: the same, for these
from tests.service.access.conftest import ONE_ISSUER, bearer, write_people

if TYPE_CHECKING:
    from tests.service.access.conftest import Provider
    from tests.service.conftest import Gate, PrefectServer, ServedDoor

pytestmark = pytest.mark.store
STORE, CLOSED = "science-store", "closed-store"
GRANTS = f"""
[everyone]
methods = ["*"]

[groups.readers]
read = ["{STORE}", "{CLOSED}"]

[groups.bounded]
read = ["{STORE}:night"]

[groups.others]
read = ["source", "user"]

[users.fts]
methods = ["*"]
read = ["*"]
role = "service"
"""
SAVED = """
import json, sys
from blocks.object_store import ObjectStore
values = json.load(sys.stdin)
for name in sys.argv[1:]:
    ObjectStore(**values).save(name, overwrite=True)
"""
CONTENT, BOBS = b"SIMPLE  =                    T", b"not for alice"


@dataclass(frozen=True)
class Site:
    """A door that sends callers to a store, which has something of alice's and of bob's."""

    door: ServedDoor
    provider: Provider
    rgw: RunningRgw

    def ask(self, path: str, *groups: str, method: str = "GET", whose: str | None = None) -> httpx.Response:
        """Return what alice is answered, who is in some groups."""
        headers = bearer(self.provider.token(preferred_username="alice", groups=[*groups]))
        params = {"username": whose} if whose else {}
        return self.door.client.request(method, f"/files/{path}", params=params, headers=headers)

    def sent(self, address: str, method: str = "GET", **headers: str) -> httpx.Response:
        """Return what the store answers whoever has an address."""
        with httpx.Client(verify=trusting(self.rgw.certificate), timeout=PATIENCE) as client:
            return client.request(method, address, headers=headers)


@pytest.fixture(scope="module")
def presigned(
    rgw: RunningRgw,  # noqa: F811
    prefect: PrefectServer,
    site: Provider,
    serve: Callable[..., AbstractContextManager[ServedDoor]],
) -> Iterator[Site]:
    top = f"downloads-{uuid4().hex}"
    for key, content in (("alice/night/a b.fits", CONTENT), ("alice/other.fits", CONTENT), ("bob/b.fits", BOBS)):
        with connection_to(rgw, prefix=top).opened() as bucket:
            brought(bucket, content, key)
    block = json.dumps(
        {
            "endpoint": rgw.endpoint,
            "bucket": BUCKET,
            "prefix": f"{top}/{{username}}",
            "access_key": rgw.access_key,
            "secret_key": rgw.secret_key,
            "certificates": rgw.certificate,
        }
    )
    with open_folder() as folder:
        (folder / "access.toml").write_text(ONE_ISSUER.format(url=site.url) + GRANTS)
        write_people(folder / "people.toml")
        settings = {
            "ALLOWED_METHODS": '["direct_download"]',
            "STAGER_ACCESS_FILE": str(folder / "access.toml"),
            "STAGER_USERS_FILE": str(folder / "people.toml"),
            "STAGER_PRESIGNED_STORES": json.dumps([STORE]),
        }
        where = {"database_url": f"sqlite:///{folder}/records.db", "prefect_api": prefect.gated_api}
        with serve(folder, **where, **settings) as door:
            environment = os.environ | door.environment
            command = [sys.executable, "-c", SAVED, STORE, CLOSED]
            subprocess.run(command, env=environment, input=block.encode(), check=True)
            yield Site(door, site, rgw)


def test_an_object_is_sent_by_its_store_and_that_it_was_asked_for_is_on_record(presigned: Site) -> None:
    answer = presigned.ask(f"{STORE}/night/a%20b.fits", "readers")
    assert (answer.status_code, answer.headers["cache-control"]) == (307, "no-store"), answer.text
    address = answer.headers["location"]
    assert address.startswith(f"{presigned.rgw.endpoint}/{BUCKET}/")
    assert parse_qs(urlsplit(address).query)["X-Amz-Expires"] == ["300"]

    whole, part = presigned.sent(address), presigned.sent(address, Range="bytes=0-5")
    assert (whole.status_code, whole.content) == (200, CONTENT)
    assert whole.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20b.fits"
    assert (part.status_code, part.content) == (206, CONTENT[:6])

    headers = bearer(presigned.provider.token(preferred_username="alice", groups=["readers"]))
    [summary] = presigned.door.client.get("/requests", headers=headers).json()["requests"]
    assert summary["status"] == "completed"
    record = presigned.door.client.get(f"/requests/{summary['request_id']}", headers=headers).json()
    [item] = record["items"]
    assert (record["source_area"], item["source"], item["size_bytes"]) == (STORE, "night/a b.fits", len(CONTENT))
    assert presigned.rgw.secret_key not in address + json.dumps(record)
    assert "X-Amz-Signature" not in presigned.door.log_file.read_text()


def test_a_head_leads_to_an_address_for_a_head_alone(presigned: Site) -> None:
    answer = presigned.ask(f"{STORE}/other.fits", "readers", method="HEAD")
    address = answer.headers["location"]
    found = presigned.sent(address, "HEAD")
    assert (found.status_code, found.headers["content-length"]) == (200, str(len(CONTENT)))
    assert presigned.sent(address).status_code == httpx.codes.FORBIDDEN


def test_an_address_is_for_one_object(presigned: Site) -> None:
    address = presigned.ask(f"{STORE}/other.fits", "readers").headers["location"]
    for other in ("alice/night/a%20b.fits", "bob/b.fits"):
        found = presigned.sent(address.replace("alice/other.fits", other))
        assert found.status_code == httpx.codes.FORBIDDEN
    assert presigned.sent(address, "DELETE").status_code == httpx.codes.FORBIDDEN


@pytest.mark.parametrize(
    ("path", "group", "status"),
    [
        (f"{STORE}/night/a%20b.fits", "bounded", 307),
        (f"{STORE}/other.fits", "bounded", 403),
        (f"{STORE}/night/%2E%2E/other.fits", "bounded", 403),
        (f"{STORE}/nightly", "bounded", 403),
        (f"{STORE}/other.fits", "others", 403),
        (f"{STORE}/other.fits", "nobody", 403),
        (f"{STORE}/%2E%2E/bob/b.fits", "readers", 403),
        (f"{STORE}/a/%2E%2E/%2E%2E/bob/b.fits", "readers", 403),
        (f"{STORE}/%2Fbob/b.fits", "readers", 403),
        (f"{STORE}/bob/b.fits", "readers", 404),
        (f"{STORE}/missing", "readers", 404),
        (f"{STORE}/night/.stager-manifest.json", "readers", 404),
        (f"{STORE}/%FF", "readers", 404),
        (f"{STORE}/night", "readers", 400),
        (f"{STORE}/", "readers", 400),
        (f"{STORE}/%2E", "readers", 400),
        (f"{CLOSED}/other.fits", "readers", 404),
        ("s3:%2F%2Fscience/other.fits", "readers", 403),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_more_is_read_than_is_granted_and_the_callers(
    presigned: Site, method: str, path: str, group: str, status: int
) -> None:
    answer = presigned.ask(path, group, method=method)
    assert answer.request.url.raw_path == f"/files/{path}".encode()
    assert answer.status_code == status, answer.text
    assert ("location" in answer.headers) == (status == httpx.codes.TEMPORARY_REDIRECT)


def test_nobody_is_sent_to_anothers_objects_but_by_who_acts_for_them(presigned: Site) -> None:
    assert presigned.ask(f"{STORE}/b.fits", "readers", whose="bob").status_code == httpx.codes.FORBIDDEN
    fts = bearer(presigned.provider.token(preferred_username="fts"))
    answer = presigned.door.client.get(f"/files/{STORE}/b.fits", params={"username": "bob"}, headers=fts)
    assert presigned.sent(answer.headers["location"]).content == BOBS


def test_a_directory_is_refused_by_name(presigned: Site) -> None:
    refused = presigned.ask(f"{STORE}/night", "readers").json()["detail"]
    assert "it is a directory, and of a bucket only single objects are sent" in refused


def test_there_is_no_link_to_what_a_store_has(presigned: Site) -> None:
    assert presigned.ask(f"{STORE}/other.fits/link", "readers", method="POST").status_code == httpx.codes.NOT_FOUND


def test_while_prefect_is_away_nobody_is_sent_anywhere(presigned: Site, gate: Gate) -> None:
    gate.is_open = False
    answer = presigned.ask(f"{STORE}/other.fits", "readers")
    assert (answer.status_code, "location" in answer.headers) == (503, False)
    assert "Prefect" in answer.json()["detail"]
