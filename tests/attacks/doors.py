"""By which calls Alice tries it: every operation of the API that takes a path, an id, an area or a name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from tests.attacks.site import Answer, Site
from tests.attacks.tricks import NAMING, Place

Read = Callable[[Site, Place], Answer]
Stage = Callable[..., Answer]
TAPE, MANIFEST = "/api/v1/stage", "/requests/from-manifest"


def written(site: Site, path: str) -> str:
    """Return a path of a trick as it is sent to this site."""
    return path.format(areas=site.world.areas)


def _address(site: Site, place: Place) -> str:
    # Every byte of it escaped: a client would resolve dots and slashes itself.
    return f"/files/{place.area}/{quote(written(site, place.path), safe='').replace('.', '%2E')}"


def path_of_link(made: dict[str, str]) -> str:
    """Return what a link's address has behind the service's own."""
    return "/links" + made["url"].partition("/links")[2]


def _by_get(site: Site, place: Place) -> Answer:
    return site.answer("GET", _address(site, place))


def _by_head(site: Site, place: Place) -> Answer:
    return site.answer("HEAD", _address(site, place))


def _by_part(site: Site, place: Place) -> Answer:
    return site.answer("GET", _address(site, place), headers={"Range": "bytes=0-3"})


def _by_zip(site: Site, place: Place) -> Answer:
    return site.answer("GET", _address(site, place), params={"archive": "zip"})


def _by_link(site: Site, place: Place) -> Answer:
    made = site.answer("POST", f"{_address(site, place)}/link")
    if made.is_refusal:
        return made
    got = site.call("nobody", "GET", path_of_link(json.loads(made.body)))
    return Answer(got.status_code, got.content)


def _by_listing(site: Site, place: Place) -> Answer:
    return site.answer("GET", f"/areas/{place.area}/entries", params={"path": written(site, place.path)})


def _by_archiveinfo(site: Site, place: Place) -> Answer:
    """Ask where a file is; an error in the answer is a refusal."""
    said = site.answer("POST", "/api/v1/archiveinfo", json={"paths": ["/" + written(site, place.path)]})
    (about,) = json.loads(said.body)
    return Answer(404 if "error" in about else said.status, said.body)


def _by_direct_download(site: Site, place: Place) -> Answer:
    paths = {"local_path_on_storage": written(site, place.path), "relative_path": "got"}
    return site.answer("POST", "/stage_data", params={"method": "direct_download"}, json={"data": paths})


# Calls that answer at once: the operation, what is read by it, and from which areas.
READING_DOORS: dict[str, tuple[str, Read, frozenset[str]]] = {
    "download": ("GET /files/{area}/{path}", _by_get, frozenset({"source", "user"})),
    "HEAD": ("HEAD /files/{area}/{path}", _by_head, frozenset({"source", "user"})),
    "part": ("GET /files/{area}/{path}", _by_part, frozenset({"source", "user"})),
    "zip": ("GET /files/{area}/{path}", _by_zip, frozenset({"source", "user"})),
    "link": ("POST /files/{area}/{path}/link", _by_link, frozenset({"source", "user"})),
    "listing": ("GET /areas/{area}/entries", _by_listing, frozenset({"source", "user"})),
    "direct_download": ("POST /stage_data", _by_direct_download, frozenset({"source"})),
    "archiveinfo": ("POST /api/v1/archiveinfo", _by_archiveinfo, frozenset({"source"})),
}


def _terms(method: str, more: dict[str, str]) -> dict[str, str]:
    return {"method": method, **more}


def _by_body(site: Site, items: list[tuple[str, str]], *, method: str, **more: str) -> Answer:
    wanted = [{"source": source, "destination": to} for source, to in items]
    return site.answer("POST", "/requests", json={**_terms(method, more), "items": wanted})


def _by_manifest(site: Site, items: list[tuple[str, str]], *, method: str, **more: str) -> Answer:
    lines = "".join(json.dumps({"source": source, "destination": to}) + "\n" for source, to in items)
    kind = {"Content-Type": "application/x-ndjson"}
    return site.answer("POST", MANIFEST, params=_terms(method, more), content=lines.encode(), headers=kind)


def _by_stage_data(site: Site, items: list[tuple[str, str]], *, method: str, **more: str) -> Answer:
    ((source, to),) = items
    body = {"data": {"local_path_on_storage": source, "relative_path": to}}
    return site.answer("POST", "/stage_data", params=_terms(method, more), json=body, headers={"Prefer": "wait=0"})


def _by_tape(site: Site, items: list[tuple[str, str]], *, method: str, **more: str) -> Answer:
    site_name = "ska-staging"
    files = [
        {"path": f"/{source}", "targetedMetadata": {site_name: {"method": method, "destination": to, **more}}}
        for source, to in items
    ]
    return site.answer("POST", TAPE, json={"files": files})


# Calls that a run does later: the operation, how it is asked, from which areas, and how many items it takes.
STAGING_DOORS: dict[str, tuple[str, Stage, frozenset[str], int]] = {
    "request": ("POST /requests", _by_body, frozenset({"source", "user"}), 1000),
    "manifest": ("POST /requests/from-manifest", _by_manifest, frozenset({"source", "user"}), 1000),
    "stage_data": ("POST /stage_data", _by_stage_data, frozenset({"source"}), 1),
    "Tape stage": ("POST /api/v1/stage", _by_tape, frozenset({"source"}), 1000),
}
# It asks again for what one of these was asked for.
RETRY = "POST /requests/{request_id}/retry"


def has_no_words_for(door: str, trick: str) -> bool:
    """Return whether a staging call cannot say what a trick says beside the paths: it hears nothing of it."""
    return door == "stage_data" and "username" not in NAMING[trick]


def request_of(answer: Answer) -> str:
    """Return the id of the request that an answer tells of."""
    said: dict[str, Any] = json.loads(answer.body)
    return str(said.get("request_id") or said["requestId"])


# Calls about a request, and what is sent with them.
REQUEST_DOORS: dict[str, dict[str, Any]] = {
    "GET /requests/{request_id}": {},
    "GET /requests/{request_id}/items": {},
    "GET /requests/{request_id}/events": {},
    "GET /requests/{request_id}/manifest": {},
    "GET /requests/{request_id}/receipt": {},
    "GET /requests/{request_id}/explain": {},
    "GET /requests/{request_id}/stream": {},
    "GET /api/v1/stage/{request_id}": {},
    RETRY: {"json": {}},
    "POST /requests/{request_id}/cancel": {"json": {}},
    "POST /api/v1/stage/{request_id}/cancel": {"json": {"paths": ["/a.fits"]}},
    "POST /api/v1/release/{request_id}": {"json": {"paths": ["/a.fits"]}},
    "DELETE /requests/{request_id}": {},
    "DELETE /api/v1/stage/{request_id}": {},
}

# Calls that name something else, each with a test of its own.
OTHER_DOORS = {
    "GET /links": "test_a_links_secret_is_not_guessed_and_counts_once",
    "GET /requests": "test_a_list_shows_nothing_of_another",
    "GET /requests/stream": "test_a_stream_tells_nothing_of_another",
    "GET /logs": "test_the_log_is_for_administrators",
    "GET /logs/stream": "test_the_log_is_for_administrators",
    "GET /problems/{name}": "test_no_problem_has_the_name_of_a_file",
    "POST /create-file": "test_no_file_is_made_by_a_user_or_outside_the_source",
}


def tried() -> set[str]:
    """Return the operations that are tried."""
    reading, staging = ({operation for operation, *_ in doors.values()} for doors in (READING_DOORS, STAGING_DOORS))
    return reading | staging | set(REQUEST_DOORS) | set(OTHER_DOORS)
