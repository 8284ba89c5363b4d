"""The manual, as the service shows what `make docs` has built."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from manual.http_api import http_api
from stager.api.routes.manual import THEME_SCRIPT
from tests.ports import NO_PREFECT

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

pytestmark = pytest.mark.any_database

BUILT = Path(__file__).parents[3] / "build" / "manual"
# What a browser fetches by itself.
FETCHED = {
    ("script", "src"),
    ("link", "href"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("form", "action"),
}


@pytest.fixture(scope="module")
def built() -> Path:
    if not (BUILT / "index.html").exists():
        pytest.skip("the manual is not built: make docs")
    return BUILT


@pytest.fixture(scope="module")
def manual_door(
    built: Path, serve: Callable[..., AbstractContextManager[ServedDoor]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedDoor]:
    """A service that has a manual, and lets nobody in: no issuer's token counts."""
    folder = tmp_path_factory.mktemp("manual")
    access = folder / "access.toml"
    access.write_text(f'[[issuers]]\nurl = "{NO_PREFECT}"\naudiences = ["nobody"]\n')
    where = {"database_url": f"sqlite:///{folder}/records.db", "prefect_api": NO_PREFECT}
    with serve(folder, **where, STAGER_MANUAL=str(built), STAGER_ACCESS_FILE=str(access)) as door:
        yield door


class Page(HTMLParser):
    """What a page fetches, where it leads, what can be led to in it, and what it runs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetches: list[str] = []
        self.leads: list[str] = []
        self.places: set[str] = set()
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.fetches += [said[name] for of, name in FETCHED if of == tag and name in said]
        self.leads += [said["href"]] if tag == "a" and "href" in said else []
        self.places.add(said.get("id", ""))
        self._in_script = tag == "script" and "src" not in said
        assert not [name for name in said if name.startswith("on")], "a handler, which the policy forbids"

    def handle_data(self, data: str) -> None:
        self.scripts += [data] if self._in_script else []

    def handle_endtag(self, _tag: str) -> None:
        self._in_script = False


@pytest.fixture(scope="module")
def pages(built: Path) -> dict[str, Page]:
    return {str(file.relative_to(built)): Page(file.read_text()) for file in built.rglob("*.html")}


def test_the_manual_is_shown_to_whoever_has_no_token(manual_door: ServedDoor) -> None:
    assert manual_door.client.get("/requests").status_code == 401
    lead = manual_door.client.get("/manual")
    shown = {
        path: manual_door.client.get(f"/manual/{path}")
        for path in ("", "index.html", "start/install.html", "search.html")
    }

    assert (lead.status_code, lead.headers["location"]) == (307, "manual/")
    assert {answer.status_code for answer in shown.values()} == {200}
    assert {answer.headers["content-type"] for answer in shown.values()} == {"text/html; charset=utf-8"}
    assert shown[""].text == shown["index.html"].text


def test_its_search_has_all_it_needs(manual_door: ServedDoor) -> None:
    index = manual_door.client.get("/manual/searchindex.js")
    assert index.status_code == 200
    assert "javascript" in index.headers["content-type"]
    assert "how-to/downloads" in index.text


def test_what_a_page_fetches_is_there_and_is_the_services_own(manual_door: ServedDoor, pages: dict[str, Page]) -> None:
    fetched = {urljoin(f"/manual/{name}", address) for name, page in pages.items() for address in page.fetches}
    assert fetched
    assert {address for address in fetched if urlsplit(address).netloc or urlsplit(address).scheme} == set()
    answers = {address: manual_door.client.get(address).status_code for address in fetched}
    assert {address for address, status in answers.items() if status != 200} == set()


def test_no_style_fetches_anything_from_another_host(built: Path) -> None:
    fetched = {
        address
        for file in built.rglob("*.css")
        for address in re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")]+)", file.read_text())
    }
    assert {address for address in fetched if "//" in address and not address.startswith("data:")} == set()


def test_every_link_within_the_manual_leads_somewhere(built: Path, pages: dict[str, Page]) -> None:
    lost = []
    for name, page in pages.items():
        for link in page.leads:
            address = urlsplit(urljoin(f"http://here/{name}", link))
            path = unquote(address.path).lstrip("/") or "index.html"
            if (address.netloc == "here" and not (built / path).exists()) or (
                address.netloc == "here"
                and address.fragment
                and path in pages
                and unquote(address.fragment) not in pages[path].places
            ):
                lost.append((name, link))
    assert lost == []


def test_a_page_runs_what_its_policy_allows_and_nothing_else(manual_door: ServedDoor, pages: dict[str, Page]) -> None:
    policy = manual_door.client.get("/manual/").headers["content-security-policy"]
    assert "'unsafe-eval'" not in policy
    assert "default-src 'none'" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert {script for page in pages.values() for script in page.scripts} <= {THEME_SCRIPT}


@pytest.mark.parametrize("path", ["none.html", "start", "../config", "%2e%2e/%2e%2e/pyproject.toml", "a%00b"])
def test_what_is_no_page_is_not_there(manual_door: ServedDoor, path: str) -> None:
    assert manual_door.client.get(f"/manual/{path}").status_code in {200 if path == "../config" else 404, 400}


@pytest.mark.parametrize("path", ["", "/", "/index.html", "/start/install.html"])
def test_without_a_manual_it_is_said_how_it_is_built(lone_door: ServedDoor, path: str) -> None:
    answer = lone_door.client.get(f"/manual{path}", follow_redirects=True)
    assert answer.status_code == 404
    assert answer.json()["type"].endswith("/problems/manual-not-built")
    assert "make docs" in answer.json()["detail"]


def test_every_call_of_the_description_is_in_the_reference(lone_door: ServedDoor) -> None:
    document = lone_door.client.get("/openapi.json").json()
    calls = {f"### `{verb.upper()} {path}`" for path, verbs in document["paths"].items() for verb in verbs}
    reference = http_api(document)

    assert len(calls) > 30
    assert calls - set(reference.splitlines()) == set()
    forms = set(re.findall(r"^\((form-\w+)\)=$", reference, flags=re.MULTILINE))
    assert set(re.findall(r"\]\(#(form-\w+)\)", reference)) - forms == set()
