"""The clients of a soak: people who want single files, a pipeline that wants thousands, and downloads."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

import httpx

from stager.models import Status
from tests.soak.checks import open_work
from tests.soak.ledger import Asked, Ledger
from tests.soak.site import LARGE, USERS, Site
from tests.soak.waiting import left_after_waiting

# The last user is the pipeline.
PEOPLE, PIPELINE = USERS[:-1], USERS[-1]
BULK_ITEMS = 2000
PAUSE_SECONDS = 0.2
LATER = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE}
MANIFEST = {"Content-Type": "text/csv"}


class NotAnswered(Exception):
    """A call was not answered, or a request did not end, when nothing went on any more."""


@dataclass
class Client:
    """One that calls the service, each call again until it is answered, or everybody gives up."""

    site: Site
    ledger: Ledger
    rng: random.Random
    name: str
    stop: threading.Event
    give_up: threading.Event
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60))
    count: int = 0

    def repeat(self, act: Callable[[Client], None]) -> None:
        """Do something again and again until the load ends."""
        with self.http:
            while not self.stop.is_set():
                act(self)

    def insist(self, verb: str, path: str, **call: Any) -> httpx.Response:
        """Return the answer to a call, made until there is one."""
        while not self.give_up.is_set():
            try:
                answer = self.http.request(verb, f"{self.site.stack.http}{path}", **call)
            except httpx.TransportError as error:
                self.ledger.repeated[type(error).__name__] += 1
            else:
                if not _comes_later(answer):
                    return answer
                self.ledger.repeated[str(answer.status_code)] += 1
            time.sleep(PAUSE_SECONDS)
        message = f"{verb} {path}"
        raise NotAnswered(message)

    def ask(self, kind: str, username: str, items: dict[str, str]) -> str | None:
        """Ask for items and return the request's id; None, and a fault, where it is refused."""
        self.count += 1
        key = f"{self.name}-{self.count}"
        terms = {"method": "local_copy", "username": username}
        wanted: dict[str, Any] = {
            "json": {**terms, "items": [{"source": s, "destination": d} for d, s in items.items()]}
        }
        path = "/requests"
        if kind == "bulk":
            lines = "".join(f"{source},{destination}\n" for destination, source in items.items())
            wanted = {"params": terms, "content": f"source,destination\n{lines}"}
            path = "/requests/from-manifest"
        headers = {"Idempotency-Key": key} | (MANIFEST if kind == "bulk" else {})
        answer = self.insist("POST", path, headers=headers, **wanted)
        if answer.status_code not in {HTTPStatus.OK, HTTPStatus.ACCEPTED}:
            self.ledger.faults.append(f"{key} was answered {answer.status_code}: {answer.text[:300]}")
            return None
        request_id = str(answer.json()["request_id"])
        self.ledger.accepted.append(Asked(key, request_id, username, kind, items))
        return request_id

    def follow(self, request_id: str) -> None:
        """Look at a request until it is final."""
        while not self.give_up.is_set():
            found = self.insist("GET", f"/requests/{request_id}", params={"limit": 1})
            if found.status_code != HTTPStatus.OK:
                self.ledger.faults.append(f"GET {request_id} was answered {found.status_code}: {found.text[:300]}")
                return
            if Status(found.json()["status"]).is_final:
                return
            time.sleep(PAUSE_SECONDS)
        message = f"{request_id} did not end"
        raise NotAnswered(message)


def _comes_later(answer: httpx.Response) -> bool:
    """Whether a call is to be made again: the service cannot yet, or still takes the first one in."""
    is_arriving = answer.status_code == HTTPStatus.CONFLICT and "still being taken in" in answer.text
    return is_arriving or answer.status_code in LATER


def want_a_file(client: Client) -> None:
    """Ask for one file for somebody, and follow it."""
    began, username = time.monotonic(), client.rng.choice(PEOPLE)
    destination = f"mine/{client.name}/{client.count:06}"
    if request_id := client.ask("interactive", username, {destination: client.rng.choice(client.site.small)}):
        client.follow(request_id)
        client.ledger.interactive_seconds.append(time.monotonic() - began)
    time.sleep(client.rng.random())


def want_thousands(client: Client) -> None:
    """Ask for thousands of small items at once, and follow them."""
    small = client.site.small
    top = f"bulk/{client.name}/{client.count:04}"
    items = {f"{top}/{number // 100:03}/{number:06}": client.rng.choice(small) for number in range(BULK_ITEMS)}
    if request_id := client.ask("bulk", PIPELINE, items):
        client.follow(request_id)


def download(client: Client) -> None:
    """Download a part of a small file or of the large one, or all of it, and go on after each break."""
    path = client.rng.choice([LARGE, *client.rng.sample(client.site.small, 4)])
    content = client.site.sources[path]
    if client.rng.random() < 0.5:
        got, kind = _all_of(client, path, len(content)), "whole"
    else:
        first = client.rng.randrange(len(content))
        last = min(len(content) - 1, first + client.rng.randrange(1 << 20))
        answer = client.insist("GET", f"/files/source/{path}", headers={"Range": f"bytes={first}-{last}"})
        content, got, kind = content[first : last + 1], answer.content, "range"
    client.ledger.downloads[kind] += 1
    client.ledger.downloaded_bytes.append(len(got))
    if got != content:
        client.ledger.faults.append(f"a download of {path} ({kind}) is not what is there: {got[:200]!r}")
    time.sleep(client.rng.random())


def _all_of(client: Client, path: str, size: int) -> bytes:
    got = b""
    headers: dict[str, str] = {}
    while len(got) < size and not client.give_up.is_set():
        try:
            with client.http.stream("GET", f"{client.site.stack.http}/files/source/{path}", headers=headers) as answer:
                if answer.status_code == HTTPStatus.OK:
                    got = b""
                elif answer.status_code != HTTPStatus.PARTIAL_CONTENT:
                    time.sleep(PAUSE_SECONDS)
                    continue
                for piece in answer.iter_bytes(1 << 18):
                    got += piece
                    headers = {"Range": f"bytes={len(got)}-", "If-Range": answer.headers["ETag"]}
                    time.sleep(0.01)  # as a network has it: so a kill meets some of them
        except httpx.TransportError:
            client.ledger.downloads["broken, and gone on with"] += 1
            time.sleep(PAUSE_SECONDS)
    return got


# What is done at once, by so many clients.
LOAD = ((want_a_file, 4), (want_thousands, 1), (download, 2))


class Load:
    """All clients at work, until they are told to stop: then each ends what it has begun."""

    def __init__(self, site: Site, ledger: Ledger, rng: random.Random, *, phase: str) -> None:
        self._site, self._ledger = site, ledger
        self._stop, self._give_up = threading.Event(), threading.Event()
        acts = [act for act, count in LOAD for _ in range(count)]
        self._threads = ThreadPoolExecutor(len(acts))
        self._clients = [
            self._threads.submit(self._client(random.Random(rng.random()), f"{phase}-{number}").repeat, act)
            for number, act in enumerate(acts)
        ]

    def _client(self, rng: random.Random, name: str) -> Client:
        return Client(self._site, self._ledger, rng, name, self._stop, self._give_up)

    def _left(self) -> int:
        """Return how many clients wait, and what for: 0 once all have done."""
        waiting = sum(not client.done() for client in self._clients)
        return waiting and waiting + open_work(self._site)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        left_after_waiting(self._left)
        self._give_up.set()
        for client in self._clients:
            if error := client.exception():
                self._ledger.faults.append(f"a client gave up: {error!r}")
        self._threads.shutdown()
