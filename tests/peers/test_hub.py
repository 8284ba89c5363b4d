"""A real hub: servers that run, start, wait, fail and die, and who may ask for what."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from stager.errors import (
    Cancelled,
    ConfigurationError,
    DestinationTampered,
    NotebookNotRunning,
    NotebookNotStarted,
    NotebookServerUnknown,
    NotebookStarting,
    NotebookUserUnknown,
    PeerFault,
    PeerRefused,
)
from stager.peers.http import Calls
from stager.peers.jupyter import Contents, Hub, HubConnection, Progress, ServerState, publish, start, stop, upload
from stager.peers.jupyter.server import server_state
from stager.peers.jupyter.server_token import ServerToken
from tests.patience import PATIENCE
from tests.peers.conftest import make_server, opened, wait_until
from tests.peers.running_hub import AWKWARD, RunningHub


def ignore(_: Progress) -> None:
    """Look at no progress."""


@pytest.mark.usefixtures("server")
def test_a_server_that_runs_is_ready_and_has_an_address(hub: Hub) -> None:
    state = hub.look("alice")
    assert (state.is_ready, state.pending) == (True, None)
    assert state.url == f"{hub.url}user/alice/"


def test_a_server_that_is_down_has_no_address(hub: Hub) -> None:
    assert hub.look("nobody-started-me") == ServerState(username="nobody-started-me", name="")


def test_an_unknown_user_is_named(hub: Hub) -> None:
    with pytest.raises(NotebookUserUnknown, match="somebody-else"):
        hub.look("somebody-else")


def test_a_named_server_of_a_user_with_an_awkward_name_tells_of_its_start_and_is_used_and_stopped(
    hub: Hub, calls: Calls, running_hub: RunningHub
) -> None:
    username, name, told = AWKWARD, "lab-2", []

    def on_progress(progress: Progress) -> None:
        told.append(progress.message)
        if progress.message == "Waiting for a machine":
            running_hub.release(username)

    make_server(hub, username, name)
    assert hub.look(username, name) == ServerState(username=username, name=name)
    state = start(hub, username, name, within_seconds=PATIENCE, on_progress=on_progress)
    assert (state.is_ready, "Waiting for a machine" in told) == (True, True)
    assert not hub.look(username).is_ready  # the default server is another one
    with hub.token_for(state) as token:
        contents = Contents(calls, state, token)
        contents.make_directories("made")
        assert contents.look("made") is not None
    stop(hub, username, name, within_seconds=PATIENCE)
    assert not hub.look(username, name).is_ready


@pytest.mark.parametrize("name", ["typed-wrong", "..", "a/b"])
def test_a_server_that_nobody_made_is_named_and_not_made(hub: Hub, name: str) -> None:
    with pytest.raises(NotebookServerUnknown, match=r"bob is none that the hub knows: make it there first"):
        start(hub, "bob", name, within_seconds=PATIENCE, on_progress=ignore)
    assert name not in hub.ask("GET", "users/bob?include_stopped_servers").object()["servers"]


def test_a_start_that_takes_too_long_is_not_waited_for(hub: Hub) -> None:
    with pytest.raises(NotebookStarting, match="is not ready yet"):
        start(hub, "held-long", within_seconds=0.5, on_progress=ignore)
    assert hub.look("held-long").pending == "spawn"

    def cancel(_: Progress) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        start(hub, "held-long", within_seconds=PATIENCE, on_progress=cancel)
    stop(hub, "held-long", within_seconds=PATIENCE)
    assert hub.look("held-long").pending is None


@pytest.mark.parametrize(("username", "reason"), [("failing", "No machine has room"), ("vanishing", "Spawn failed")])
def test_a_start_that_fails_says_why(hub: Hub, username: str, reason: str) -> None:
    with pytest.raises(NotebookNotStarted, match=reason):
        start(hub, username, within_seconds=PATIENCE, on_progress=ignore)


def test_a_server_that_dies_or_is_culled_in_mid_upload_is_started_again_and_gets_it_whole(
    hub: Hub, calls: Calls, running_hub: RunningHub, tmp_path: Path
) -> None:
    content = os.urandom(250_000)

    def deliver(in_the_middle: Callable[[], None]) -> None:
        def on_bytes(_: int) -> None:
            in_the_middle()

        state = start(hub, "carol", within_seconds=PATIENCE, on_progress=ignore)
        with hub.token_for(state) as token, opened(tmp_path / "source", content) as source:
            contents = Contents(calls, state, token, piece_bytes=100_000)
            publish(contents, upload(contents, source, "part", source_name="source", on_bytes=on_bytes), "final")

    def die() -> None:
        for pid in running_hub.pids("carol"):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: running_hub.pids("carol") == [])
        assert hub.look("carol").is_ready  # the hub has not looked yet

    with pytest.raises(PeerFault, match="503"):
        deliver(die)
    with pytest.raises(NotebookNotRunning):
        deliver(lambda: stop(hub, "carol", within_seconds=PATIENCE))
    assert not (running_hub.home("carol") / "final").exists()
    deliver(lambda: None)
    assert (running_hub.home("carol") / "final").read_bytes() == content


# In the home of a user, for a server of theirs: it remembers what it is sent, and knows no pieces of files.
ODD_SERVER = """
from tornado.web import RequestHandler
prepare = RequestHandler.prepare
def remember(self):
    with open("seen", "a") as seen:
        print(self.request.method, self.request.headers.get("Authorization"), file=seen)
    return prepare(self)
RequestHandler.prepare = remember
c.ServerApp.contents_manager_class = "jupyter_server.services.contents.filemanager.AsyncFileContentsManager"
"""


@pytest.fixture(scope="module")
def odd_server(hub: Hub, running_hub: RunningHub) -> ServerState:
    """bob's server, which is as bob has made it."""
    settings = running_hub.home("bob") / ".jupyter"
    settings.mkdir(parents=True)
    (settings / "jupyter_server_config.py").write_text(ODD_SERVER)
    return start(hub, "bob", within_seconds=PATIENCE, on_progress=ignore)


@pytest.mark.usefixtures("server")
def test_what_a_notebook_server_is_sent_opens_nothing_but_itself(
    hub: Hub, calls: Calls, running_hub: RunningHub, odd_server: ServerState
) -> None:
    with hub.token_for(odd_server) as token:
        Contents(calls, odd_server, token).make_directories("data")
        seen = (running_hub.home("bob") / "seen").read_text()
        assert f"PUT Bearer {token.get_secret_value()}" in seen
        assert running_hub.tokens["staging"] not in seen
        stolen = {"Authorization": f"Bearer {token.get_secret_value()}"}
        others = ["user/alice/api/contents/", "hub/api/users", "hub/api/users/bob/tokens", "hub/api/users/alice"]
        refused = [httpx.get(f"{hub.url}{path}", headers=stolen, timeout=30).status_code for path in others]
        assert refused == [403, 403, 403, 404]
    assert httpx.get(f"{hub.url}hub/api/user", headers=stolen, timeout=30).status_code == 403


def test_a_server_that_knows_no_pieces_is_found_out_at_the_second(
    hub: Hub, calls: Calls, odd_server: ServerState, tmp_path: Path
) -> None:
    with hub.token_for(odd_server) as token, opened(tmp_path / "source", b"abcdefgh") as source:
        contents = Contents(calls, odd_server, token, piece_bytes=3)
        with pytest.raises(DestinationTampered, match="the server knows no pieces"):
            upload(contents, source, "part", source_name="source", on_bytes=lambda _: None)


@pytest.mark.parametrize(
    "url",
    [
        "https://us:secret@hub.invalid/",
        "https://us:secret/@hub.invalid/",
        "hub.invalid",
        "ftp://hub.invalid",
        "https:///",
    ],
)
def test_an_address_that_is_no_hubs_is_refused_without_its_password(calls: Calls, url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Hub(url, SecretStr("token"), calls)
    assert "secret" not in raised.value.message


@pytest.mark.parametrize(
    "server",
    [
        {"url": "/user/a/", "full_url": "http://hub.invalid/user/a/"},
        {"url": "http://hub.invalid/user/a/"},
        {"url": "https://us:secret@hub.invalid/user/a/"},
    ],
)
def test_no_token_is_sent_in_the_clear_or_with_a_password_beside_it(server: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="its address"):
        server_state({"name": "a", "servers": {"": server}}, "", httpx.URL("https://hub.invalid/"))


def test_a_token_counts_for_as_long_as_the_hub_lets_it(hub: Hub, server: ServerState) -> None:
    def seconds() -> list[float]:
        tokens = [one for one in hub.ask("GET", "users/alice/tokens").object()["api_tokens"] if one["id"] in made]
        return [
            (datetime.fromisoformat(one["expires_at"]) - datetime.fromisoformat(one["created"])).total_seconds()
            for one in tokens
        ]

    with hub.token_for(server) as token:
        assert isinstance(token, ServerToken)
        made = token.ids
        assert seconds() == [pytest.approx(12 * 3600, abs=PATIENCE)]
    assert seconds() == []


def test_a_token_that_ends_while_it_is_used_is_followed_by_another(
    hub: Hub, calls: Calls, server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stager.peers.jupyter.hub.TOKEN_SECONDS", 2)
    with hub.token_for(server) as token:
        contents, first = Contents(calls, server, token), token.get_secret_value()
        shown_before = dict(contents.headers)
        wait_until(lambda: token.get_secret_value() != first)
        monkeypatch.undo()
        wait_until(lambda: token.get_secret_value() != first and contents.look("") is not None)
        assert contents.headers != shown_before
        assert isinstance(token, ServerToken)
        made = set(token.ids)
    assert len(made) > 1
    left = hub.ask("GET", "users/alice/tokens").object()["api_tokens"]
    assert not made & {one["id"] for one in left}


@pytest.mark.parametrize("service", ["without-servers", "without-tokens"])
def test_a_token_with_too_little_scope_is_told_what_it_needs(
    running_hub: RunningHub, calls: Calls, service: str
) -> None:
    hub = Hub(running_hub.url, SecretStr(running_hub.tokens[service]), calls)
    with pytest.raises(PeerRefused, match="read:users, servers and tokens"), hub.token_for(hub.look("alice")):
        pass


def test_a_token_that_does_not_count_is_refused(running_hub: RunningHub, calls: Calls) -> None:
    with pytest.raises(PeerRefused, match="our token needs the scopes"):
        Hub(running_hub.url, SecretStr("guessed"), calls).look("alice")


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("whose", "scopes", "words"),
    [
        ("bob", ["inherit"], "alice, or does not show them"),
        ("alice", ["access:servers!server=alice/", "users:activity!user=alice"], "shows no servers"),
        ("alice", ["read:users!user=alice", "read:servers!user=alice"], "makes no tokens"),
        ("nobody", [], "403"),
    ],
    ids=["somebody else's", "a notebook's", "a reader's", "guessed"],
)
def test_a_users_own_token_that_may_too_little_is_told_as_theirs(
    hub: Hub, running_hub: RunningHub, whose: str, scopes: list[str], words: str
) -> None:
    asked = {"scopes": scopes, "expires_in": 600}
    own = hub.ask("POST", f"users/{whose}/tokens", asked).object()["token"] if scopes else "guessed"
    connection = HubConnection(url=running_hub.url, token=SecretStr(running_hub.tokens["staging"]))
    with (
        connection.opened(SecretStr(own)) as asking,
        pytest.raises((PeerRefused, NotebookUserUnknown), match=words) as raised,
        asking.token_for(asking.look("alice")),
    ):
        pass
    assert "the token that came with the request must be one that the user made" in raised.value.message
    assert "our token" not in raised.value.message
