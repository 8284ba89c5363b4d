"""Who may read a part of an area reads nothing else of it, by any call, name or link."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stager.callers.access_rules import ALL_OF_IT, Grant, read_rules
from stager.callers.caller import Caller
from stager.errors import ConfigurationError, SourceNotFound
from stager.records.requests import fail_request, get_request
from tests.attacks.doors import MANIFEST, READING_DOORS, STAGING_DOORS, path_of_link, request_of
from tests.attacks.site import Answer, Site
from tests.attacks.tricks import Place
from tests.attacks.world import World

if TYPE_CHECKING:
    from tests.service.access.conftest import Provider
    from tests.service.conftest import ServedDoor

SECRET = b"not for alice"
# What the access file of these tests lets her read, and in it.
KEPT = {"source": "public/data", "user": "kept"}
OUTSIDE = {
    "source": ["secret", "missing", "public", "public/database/a", "public/data/../../secret", "{source}/secret"],
    "user": ["secret", "missing", "kept/../secret"],
}
ISSUER = '[[issuers]]\nurl = "https://iam.example.org"\naudiences = ["a"]\n'


@pytest.fixture(scope="module")
def bounded(guarded_door: ServedDoor, site: Provider) -> Site:
    """A site as Alice sees it, who may read a part of each area."""
    world = World(guarded_door.source, guarded_door.user_areas)
    for root, kept in ((world.storage, KEPT["source"]), (world.alice, KEPT["user"])):
        folder, up = root / kept, "../" * len(Path(kept).parts)
        folder.mkdir(parents=True, exist_ok=True)
        root.chmod(0o755)
        (folder / "one.fits").write_bytes(b"for alice")
        (folder / "way").symlink_to(up)
        (folder / "out").symlink_to(f"{up}secret")
        (root / "secret").write_bytes(SECRET)
    (world.storage / "public/database").mkdir()
    tokens = {
        "alice": site.token(preferred_username="alice", groups=["ska/bounded"]),
        "fts": site.token(preferred_username="fts"),
    }
    bearers = {name: {"Authorization": f"Bearer {token}"} for name, token in tokens.items()}
    return Site(world, guarded_door.client, guarded_door.client, bearers)


def asked(site: Site, door: str, area: str, path: str) -> Answer:
    """Return what Alice is answered by a door for a path."""
    path = path.format(source=site.world.storage)
    if door in READING_DOORS:
        return READING_DOORS[door][1](site, Place(area, path))
    terms = {} if area == "source" else {"source_area": area}
    return STAGING_DOORS[door][1](site, [(path, "one")], method="local_copy", **terms)


def areas_of(door: str) -> list[str]:
    return sorted((READING_DOORS | STAGING_DOORS)[door][2])


@pytest.mark.parametrize("door", [*READING_DOORS, *STAGING_DOORS])
def test_who_may_read_a_part_of_an_area_is_refused_the_rest_by_every_door(
    bounded: Site, guarded_door: ServedDoor, door: str
) -> None:
    for area in areas_of(door):
        refused = [asked(bounded, door, area, path) for path in OUTSIDE[area]]
        given = asked(bounded, door, area, KEPT[area] if door == "listing" else f"{KEPT[area]}/one.fits")

        assert {answer.status for answer in refused} == {404 if door == "archiveinfo" else 403}
        assert door == "HEAD" or all(b"Not allowed: alice may not read this path of the" in one.body for one in refused)
        assert refused[0].body.replace(b"secret", b"missing") == refused[1].body
        assert given.status < 300
        if door in STAGING_DOORS:
            assert get_request(guarded_door.database, request_of(given)).is_bounded


def expanded(site: Site, source: str, expand: str, *, by_manifest: bool) -> Answer:
    item = {"source": source.format(source=site.world.storage), "destination": "out", "expand": expand}
    terms = {"method": "local_copy"}
    if not by_manifest:
        return site.answer("POST", "/requests", json={**terms, "items": [item]})
    kind = {"Content-Type": "application/x-ndjson"}
    return site.answer("POST", MANIFEST, params=terms, content=json.dumps(item).encode(), headers=kind)


@pytest.mark.parametrize("by_manifest", [False, True])
@pytest.mark.parametrize(
    ("source", "expand", "status"),
    [
        ("public", "directory", 403),
        (".", "directory", 403),
        ("{source}", "directory", 403),
        ("public/data/../..", "directory", 403),
        ("**", "glob", 403),
        ("*/data/one.fits", "glob", 403),
        ("public/*/one.fits", "glob", 403),
        ("public/data*/one.fits", "glob", 403),
        ("public/[d]ata/*", "glob", 403),
        ("{source}/**", "glob", 403),
        ("public/data/../../s*", "glob", 403),
        ("public/data", "prefix", 403),
        ("public/database/", "prefix", 403),
        ("sec", "prefix", 403),
        ("public/data", "directory", 202),
        ("public/data/**/*.fits", "glob", 202),
        ("{source}/public/data/*", "glob", 202),
        ("public/data/", "prefix", 202),
        ("public/data/o", "prefix", 202),
    ],
)
def test_what_is_expanded_lies_in_the_part_that_may_be_read(
    bounded: Site, guarded_door: ServedDoor, source: str, *, expand: str, status: int, by_manifest: bool
) -> None:
    answer = expanded(bounded, source, expand, by_manifest=by_manifest)
    assert answer.status == status, answer.body
    if status == 202:
        assert get_request(guarded_door.database, request_of(answer)).is_bounded


@pytest.mark.parametrize("door", [door for door in READING_DOORS if door != "archiveinfo"])
def test_no_link_leads_out_of_the_part_that_may_be_read(bounded: Site, door: str) -> None:
    for area in areas_of(door):
        answers = [asked(bounded, door, area, f"{KEPT[area]}/{way}") for way in ("way/secret", "out", "way")]

        assert {answer.status for answer in answers} <= {403, 404}
        assert not [answer for answer in answers if SECRET in answer.body]
    whoever_may_read_all = bounded.call("fts", "GET", f"/files/source/{KEPT['source']}/way/secret")
    assert whoever_may_read_all.content == SECRET


def test_an_address_that_counts_once_is_held_to_the_same_part(bounded: Site) -> None:
    made = bounded.answer("POST", f"/files/source/{KEPT['source']}/one.fits/link")
    with exchanged(bounded.world.storage / KEPT["source"] / "one.fits"):
        got = bounded.call("nobody", "GET", path_of_link(json.loads(made.body)))

    assert (got.status_code, SECRET in got.content) == (403, False)


@contextmanager
def exchanged(file: Path) -> Iterator[None]:
    """Have a link to what is outside in place of a file."""
    content = file.read_bytes()
    file.unlink()
    file.symlink_to(file.with_name("out").readlink())
    yield
    file.unlink()
    file.write_bytes(content)


@pytest.mark.parametrize(("source", "status"), [("secret", 403), ("public/data/one.fits", 202)])
def test_what_another_asked_for_in_her_name_is_asked_for_again_within_her_part_alone(
    bounded: Site, guarded_door: ServedDoor, source: str, status: int
) -> None:
    items = [{"source": source, "destination": "again"}]
    body = {"method": "local_copy", "username": "alice", "items": items}
    by_another = bounded.call("fts", "POST", "/requests", json=body).json()["request_id"]
    fail_request(guarded_door.database, by_another, SourceNotFound(source))

    again = bounded.answer("POST", f"/requests/{by_another}/retry", json={})

    assert not get_request(guarded_door.database, by_another).is_bounded
    assert again.status == status
    assert status == 403 or get_request(guarded_door.database, request_of(again)).is_bounded


def test_what_she_asked_for_is_held_to_her_part_whoever_asks_for_it_again(
    bounded: Site, guarded_door: ServedDoor
) -> None:
    hers = request_of(asked(bounded, "request", "source", "public/data/one.fits"))
    fail_request(guarded_door.database, hers, SourceNotFound("one.fits"))

    again = bounded.call("fts", "POST", f"/requests/{hers}/retry", json={}).raise_for_status().json()["request_id"]

    assert get_request(guarded_door.database, again).is_bounded


def test_the_list_of_areas_says_which_part(bounded: Site) -> None:
    areas = {who: bounded.call(who, "GET", "/areas").json()["areas"] for who in ("alice", "fts")}

    assert {area["name"]: area["read_prefixes"] for area in areas["alice"]} == {
        "source": ["public/data"],
        "user": ["kept"],
    }
    assert all(area["is_source"] for area in areas["alice"])
    assert [area["read_prefixes"] for area in areas["fts"]] == [[], []]


def test_grants_add_up_and_all_of_an_area_is_more_than_any_part() -> None:
    parts = Grant(read=frozenset({"source:a/b", "source:c", "projects:d"}))
    some = Caller(username="alice", grants=(parts, Grant(read=frozenset({"source:e"}))))
    everything = Caller(username="alice", grants=(parts, Grant(areas=frozenset({"source"}))))

    assert some.prefixes("source") == {(b"a", b"b"), (b"c",), (b"e",)}
    assert (some.is_bounded("source"), some.may_use("source", "read"), some.may_use("user", "read")) == (
        True,
        True,
        False,
    )
    assert everything.prefixes("source") == ALL_OF_IT
    assert (everything.is_bounded("source"), everything.is_bounded("projects")) == (False, True)


@pytest.mark.parametrize(
    "entry",
    ["source:", "source:/a", "source:a/", "source:a//b", "source:./a", "source:a/../b", "source:a\\u0000", "*:a", ":a"],
)
def test_a_prefix_that_is_none_is_a_mistake_that_is_named(tmp_path: Path, entry: str) -> None:
    file = tmp_path / "access.toml"
    file.write_text(f'{ISSUER}[everyone]\nread = ["{entry}"]\n')

    with pytest.raises(ConfigurationError, match=r"everyone\.read.*is not area:prefix") as told:
        read_rules(file)
    assert "\0" not in str(told.value)


@pytest.mark.parametrize("table", ["write", "areas"])
def test_only_read_takes_a_prefix(tmp_path: Path, table: str) -> None:
    file = tmp_path / "access.toml"
    file.write_text(f'{ISSUER}[users.alice]\n{table} = ["user:a"]\n')

    with pytest.raises(ConfigurationError, match=rf"users\.alice\.{table}.*'user:a' has a prefix"):
        read_rules(file)
