"""The nginx that is shipped, in front of a door: it sends the large files, and the records know."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest

from stager.app import create_app
from stager.errors import ConfigurationError
from stager.settings import Settings
from tests import behind_nginx
from tests.patience import PATIENCE
from tests.ports import NO_PREFECT, free_port
from tests.running import DIES_WITH_US
from tests.service.downloads.conftest import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.service.conftest import ServedDoor

pytestmark = pytest.mark.any_database

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
SHIPPED = Path(__file__).parents[3] / "deployments" / "nginx" / "nginx.conf"
SECRET = "open-sesame-6f1c"
# What differs from one answer to the next, or is the server's own; nginx leaves Accept-Ranges out of a part.
OF_EACH_ANSWER = {"date", "server", "connection", "x-request-id", "etag", "last-modified", "accept-ranges"}
LARGE = 3 * 1024 * 1024 + 7


@pytest.fixture(scope="module")
def front(door_behind_nginx: ServedDoor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An nginx in front of the door."""
    with in_front_of(door_behind_nginx.url, tmp_path_factory.mktemp("nginx")) as client:
        yield client


@contextmanager
def in_front_of(url: str, folder: Path) -> Iterator[httpx.Client]:
    """Run nginx by the shipped configuration, with addresses of ours; what it logs is in the folder's ``log``."""
    if NGINX is None:
        pytest.skip("needs nginx (Debian: apt-get install nginx-light)")
    port = free_port()
    text = SHIPPED.read_text().replace("SERVICE;", f"{url.removeprefix('http://')};")
    text = text.replace("LISTEN;", f"127.0.0.1:{port};").replace("/tmp/nginx", f"{folder}/nginx")
    (folder / "nginx.conf").write_text(text if text.startswith("user") else f"user root;\n{text}")
    (folder / "secret.conf").write_text(behind_nginx.FILE)
    command = [*DIES_WITH_US, NGINX, "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as nginx:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
                wait_for(client, nginx, folder / "log")
                yield client
        finally:
            nginx.terminate()


def wait_for(client: httpx.Client, nginx: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and nginx.poll() is None:
        with suppress(httpx.HTTPError):
            client.get("/config")
            return
        time.sleep(0.05)
    pytest.fail(f"nginx did not come up: {log.read_text()}")


def put(door: ServedDoor, name: str, data: bytes) -> bytes:
    path = door.source / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    time.sleep(2.1)  # its times are no news any more
    return data


def download(door: ServedDoor, source: str, status: str) -> dict[str, Any]:
    return Shelf(door).record(source, lambda row: row["status"] == status)


@pytest.mark.parametrize("name", ["plain", "odd\nname", 'a "quoted" 100% naïve ?#&;', "deep/file", "deep/stream"])
def test_nginx_sends_a_large_file_with_our_headers_and_the_record_closes(
    front: httpx.Client, door_behind_nginx: ServedDoor, shelf_content: Callable[[int], bytes], name: str
) -> None:
    data = put(door_behind_nginx, name, shelf_content(LARGE))
    # A link on another site leads here; nginx tells with the same headers that it has sent the file.
    answer = front.get(f"/files/source/{quote(name)}", headers={"Sec-Fetch-Site": "cross-site"})
    direct = door_behind_nginx.client.head(f"/files/source/{quote(name)}")

    assert (answer.status_code, answer.headers["server"]) == (200, "nginx")
    assert answer.content == data
    for header in ("etag", "last-modified", "content-disposition", "content-length"):
        assert answer.headers[header] == direct.headers[header]
    assert not [header for header in answer.headers if header.startswith(("x-accel", "x-stager"))]
    [item] = download(door_behind_nginx, name, "completed")["items"]
    assert item["progress"] == {"bytes_done": LARGE, "files_done": 1}


@pytest.mark.parametrize("span", [None, "bytes=5-14"])
def test_a_large_file_has_the_headers_of_any_other_answer(
    serve: Callable[..., AbstractContextManager[ServedDoor]], open_path: Path, span: str | None
) -> None:
    origin = "https://portal.example.org"
    asked = {"Origin": origin, **({"Range": span} if span else {})}
    said: dict[str, dict[str, str]] = {}
    for how, more in {"alone": {}, "behind-nginx": behind_nginx.VARIABLES}.items():
        (folder := open_path / how).mkdir()
        settings = {"STAGER_CORS_ORIGINS": f'["{origin}"]', "STAGER_PUBLIC_URL": "https://staging.example.org", **more}
        url = f"sqlite:///{folder}/records.db"
        with serve(folder, database_url=url, prefect_api=NO_PREFECT, **settings) as door:
            os.utime(Shelf(door).sparse("large", LARGE), (1e9, 1e9))
            with in_front_of(door.url, folder) if more else nullcontext(door.client) as client:
                answer = client.get("/files/source/large", headers=asked)
        assert answer.status_code == (206 if span else 200)
        said[how] = {name: value for name, value in answer.headers.items() if name not in OF_EACH_ANSWER}

    assert said["alone"] == said["behind-nginx"]
    assert {"access-control-allow-origin", "content-security-policy", "strict-transport-security"} <= said[
        "alone"
    ].keys()


def test_a_token_in_the_query_reaches_no_log_of_nginx(tmp_path: Path) -> None:
    with in_front_of(f"http://127.0.0.1:{free_port()}", tmp_path) as client:
        body = {"data": {"local_path_on_storage": "a.fits", "relative_path": "b.fits"}}
        terms = {"method": "local_copy", "username": "alice"}
        statuses = [
            client.post("/stage_data", params={**terms, "jupyter_token": SECRET}, json=body).status_code,
            client.get("/files/source/a.fits", params={"jupyter_token": SECRET}).status_code,
            client.get("/links", params={"token": SECRET}).status_code,
            client.post("/stage_data", params=terms, json=body).status_code,
        ]
    log = (tmp_path / "log").read_text()

    assert statuses == [502] * 4
    assert 'request: "POST /stage_data?method=local_copy&username=alice HTTP' in log
    assert SECRET not in log


def test_what_a_link_leads_to_is_not_left_to_nginx_whose_log_has_addresses(door_behind_nginx: ServedDoor) -> None:
    Shelf(door_behind_nginx).sparse("linked", LARGE)
    address = door_behind_nginx.client.post("/files/source/linked/link").json()["url"]
    answer = door_behind_nginx.client.get("/links", params=httpx.URL(address).params)

    assert (answer.status_code, len(answer.content)) == (200, LARGE)
    assert "x-accel-redirect" not in answer.headers


def test_nothing_but_a_download_is_closed_by_what_nginx_says(
    front: httpx.Client, door_behind_nginx: ServedDoor, lone_door: ServedDoor
) -> None:
    request_id = door_behind_nginx.ask().json()["request_id"]
    word = f"/internal/sent/{request_id}?bytes_sent=0&is_whole=OK"
    ours = {"X-Stager-Secret": behind_nginx.SECRET}
    assert door_behind_nginx.client.post(word, headers=ours).status_code == 204
    Shelf(door_behind_nginx).sparse("closed-later", LARGE)
    front.get("/files/source/closed-later")
    download(door_behind_nginx, "closed-later", "completed")  # what came before it is on record, too

    assert door_behind_nginx.request(request_id)["status"] == "submitted"
    assert front.post(word, headers=ours).status_code == 404
    assert lone_door.client.post(word, headers=ours).status_code == 404


@pytest.mark.parametrize("said", [{}, {"X-Stager-Secret": ""}, {"X-Stager-Secret": behind_nginx.SECRET[:-1]}], ids=str)
def test_who_knows_a_downloads_id_and_not_the_secret_closes_nothing(
    door_behind_nginx: ServedDoor, said: dict[str, str]
) -> None:
    Shelf(door_behind_nginx).sparse("still-open", LARGE)
    answer = door_behind_nginx.client.get("/files/source/still-open")
    word = f"/internal/sent/{answer.headers['x-stager-download']}?bytes_sent={LARGE}&is_whole=OK"
    statuses = [
        door_behind_nginx.client.post(word, headers=headers).status_code
        for headers in (said, {"X-Stager-Secret": behind_nginx.SECRET})
    ]

    assert statuses == [403, 204]


def test_a_service_behind_nginx_without_a_secret_does_not_start(tmp_path: Path) -> None:
    settings = Settings(nginx_files="/stager-files", log_file=tmp_path / "log")
    with pytest.raises(ConfigurationError, match="STAGER_NGINX_SECRET"):
        create_app(settings)


@pytest.mark.parametrize(
    ("headers", "status", "size"),
    [
        ({"Range": "bytes=5-14"}, 206, 10),
        ({"Range": "bytes=-3", "If-Range": "{etag}"}, 206, 3),
        ({"Range": "bytes=-3", "If-Range": '"other"'}, 200, LARGE),
        ({"Range": "bytes=99999999-"}, 416, None),
        ({"If-None-Match": "{etag}"}, 304, 0),
        ({"If-None-Match": '"other"'}, 200, LARGE),
        ({"If-Match": "{etag}"}, 200, LARGE),
        ({"If-Match": '"other"'}, 412, 0),
    ],
    ids=str,
)
def test_conditions_and_ranges_are_the_same_through_nginx(
    front: httpx.Client,
    door_behind_nginx: ServedDoor,
    shelf_content: Callable[[int], bytes],
    *,
    headers: dict[str, str],
    status: int,
    size: int | None,
) -> None:
    if not (door_behind_nginx.source / "conditional").exists():
        put(door_behind_nginx, "conditional", shelf_content(LARGE))
    tag = front.head("/files/source/conditional").headers["etag"]
    answer = front.get(
        "/files/source/conditional", headers={name: said.replace("{etag}", tag) for name, said in headers.items()}
    )

    assert answer.status_code == status
    assert size is None or len(answer.content) == size


def test_a_client_of_nginx_that_hangs_up_closes_the_record(front: httpx.Client, door_behind_nginx: ServedDoor) -> None:
    size = 256 * 1024 * 1024
    Shelf(door_behind_nginx).sparse("hung-up", size)
    with front.stream("GET", "/files/source/hung-up") as answer:
        next(answer.iter_raw(65536))

    taken = download(door_behind_nginx, "hung-up", "cancelled")["items"][0]["progress"]
    assert isinstance(taken, dict)
    assert 0 < taken["bytes_done"] < size


def test_what_nginx_sends_goes_on_when_it_is_cancelled(front: httpx.Client, door_behind_nginx: ServedDoor) -> None:
    size = 64 * 1024 * 1024
    Shelf(door_behind_nginx).sparse("goes-on", size)
    with front.stream("GET", "/files/source/goes-on") as answer:
        blocks = answer.iter_raw(65536)
        taken = len(next(blocks))
        request_id = download(door_behind_nginx, "goes-on", "started")["request_id"]
        status = door_behind_nginx.client.delete(f"/requests/{request_id}").status_code
        time.sleep(2)  # seconds in which a service would have stopped
        taken += sum(map(len, blocks))

    assert (status, taken) == (202, size)
    download(door_behind_nginx, "goes-on", "completed")


def test_a_link_that_is_swapped_under_nginx_leads_nobody_out(
    front: httpx.Client, door_behind_nginx: ServedDoor, shelf_content: Callable[[int], bytes]
) -> None:
    inside, outside = door_behind_nginx.source / "inside", door_behind_nginx.folder / "outside"
    secret, data = b"s" * LARGE, shelf_content(LARGE)
    for folder, content in ((inside, data), (outside, secret)):
        folder.mkdir()
        (folder / "file").write_bytes(content)
    stop = threading.Event()

    def swap() -> None:
        away = door_behind_nginx.folder / "away"
        while not stop.is_set():
            inside.rename(away)
            inside.symlink_to(outside)
            inside.unlink()
            away.rename(inside)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        answers = [front.get("/files/source/inside/file", headers={"Range": "bytes=0-9"}) for _ in range(150)]
    finally:
        stop.set()
        swapping.join()
    assert front.get("/files/source/inside/file").content == data
    assert {answer.status_code for answer in answers} <= {206, 403, 404}
    assert {answer.content for answer in answers if answer.status_code == 206} <= {data[:10]}


@pytest.mark.parametrize("address", ["/requests/stream", "/requests/{}/stream", "/logs/stream"])
def test_what_happens_is_told_through_nginx_at_once(
    front: httpx.Client, door_behind_nginx: ServedDoor, address: str
) -> None:
    request_id = door_behind_nginx.ask().json()["request_id"]
    with front.stream("GET", address.format(request_id), headers={"Last-Event-ID": "0"}) as answer:
        assert next(answer.iter_bytes())


def test_what_nginx_says_to_the_door_nobody_else_may_say(front: httpx.Client) -> None:
    for query in ("?bytes_sent=1", "?bytes_sent=1&token=x"):
        for path in ("/internal/sent/x", "//internal/sent/x", "/%69nternal/sent/x"):
            answer = front.post(f"{str(front.base_url).rstrip('/')}{path}{query}")
            assert (answer.status_code, "X-Request-ID" in answer.headers) == (404, False)  # nginx's own
    assert front.get("/stager-files/etc/passwd").status_code == 404
    assert front.get("/stager-sent").status_code == 404
