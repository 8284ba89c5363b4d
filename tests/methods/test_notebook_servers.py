"""Users' notebook servers are reached as the operator, or a user's own token, wants it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from stager.errors import ConfigurationError, NotebookNotRunning, StagingError
from stager.methods.notebook_path import NotebookPath, notebook_path
from stager.methods.notebook_servers import NotebookServers
from stager.peers.http import Calls
from stager.peers.jupyter import Hub, HubConnection
from tests.peers.conftest import make_server
from tests.peers.faulty_proxy import FaultyProxy, answered
from tests.peers.running_hub import RunningHub


@pytest.fixture
def calls() -> Iterator[Calls]:
    with Calls() as calls:
        yield calls


@pytest.fixture
def token(running_hub: RunningHub) -> SecretStr:
    return SecretStr(running_hub.tokens["staging"])


def place(running_hub: RunningHub, username: str, server: str = "") -> NotebookPath:
    return notebook_path("a", hub=running_hub.url, username=username, server=server)


def reach(servers: NotebookServers, wanted: NotebookPath) -> None:
    servers.reach([wanted], on_wait=lambda _: None, check=lambda: None)


def test_a_server_is_not_started_where_the_site_does_not_want_it(
    running_hub: RunningHub, calls: Calls, token: SecretStr
) -> None:
    connection = HubConnection(url=running_hub.url, token=token, starts_servers=False)
    servers = NotebookServers(connection, Hub(running_hub.url, token, calls))
    with pytest.raises(NotebookNotRunning, match="start it"):
        reach(servers, place(running_hub, "dave"))
    assert Hub(running_hub.url, token, calls).look("dave").url is None


def test_a_server_is_not_started_by_whoever_only_looks_for_its_files(
    running_hub: RunningHub, calls: Calls, token: SecretStr
) -> None:
    servers = NotebookServers(HubConnection(url=running_hub.url, token=token), Hub(running_hub.url, token, calls))
    with pytest.raises(NotebookNotRunning), servers.contents(place(running_hub, "dave")):
        pass
    assert Hub(running_hub.url, token, calls).look("dave").url is None


def test_a_named_server_that_was_started_is_stopped_again_where_the_site_wants_it(
    running_hub: RunningHub, calls: Calls, token: SecretStr
) -> None:
    hub = Hub(running_hub.url, token, calls)
    make_server(hub, "carol", "lab")
    servers = NotebookServers(HubConnection(url=running_hub.url, token=token, stops_servers=True), hub)
    reach(servers, place(running_hub, "carol", "lab"))
    with servers.contents(place(running_hub, "carol", "lab")) as contents:
        assert contents.look("nothing") is None
        assert hub.look("carol", "lab").is_ready
    servers.close()
    assert not hub.look("carol", "lab").is_ready


def test_a_server_that_does_not_take_our_token_any_more_gets_another_by_the_next_call(
    running_hub: RunningHub, calls: Calls, token: SecretStr, proxy: FaultyProxy
) -> None:
    hub = Hub(proxy.in_front_of(running_hub.url), token, calls)
    servers = NotebookServers(HubConnection(url=running_hub.url, token=token), hub)
    reach(servers, place(running_hub, "alice"))
    with servers.contents(place(running_hub, "alice")) as contents:
        shown = dict(contents.headers)
    proxy.break_calls("hash", answered("403 Forbidden", b'{"message": "Forbidden"}', "application/json"))
    with pytest.raises(StagingError) as raised, servers.contents(place(running_hub, "alice")) as contents:
        contents.look_with_checksum("nothing", size_bytes=0)
    assert raised.value.retryable
    with servers.contents(place(running_hub, "alice")) as contents:
        assert contents.look("nothing") is None
        assert contents.headers != shown
    servers.close()


def test_a_users_own_token_is_enough(running_hub: RunningHub, calls: Calls, token: SecretStr) -> None:
    made = Hub(running_hub.url, token, calls).ask("POST", "users/bob/tokens", {"expires_in": 600}).object()
    connection = HubConnection(url=running_hub.url)
    with connection.opened(SecretStr(made["token"])) as hub:
        servers = NotebookServers(connection, hub)
        reach(servers, place(running_hub, "bob"))
        with servers.contents(place(running_hub, "bob")) as contents:
            assert contents.look("nothing") is None
        servers.close()


def test_without_any_token_nothing_is_asked(running_hub: RunningHub) -> None:
    with pytest.raises(ConfigurationError, match="no token"), HubConnection(url=running_hub.url).opened():
        pass
