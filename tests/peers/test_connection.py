"""What an operator says of a hub: what is wrong with it is told in words, by a real hub where one can say it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from stager.errors import ConfigurationError, NotebookUserUnknown, PeerFault, PeerNotReachable, PeerRefused
from stager.peers.jupyter import HubConnection, check_hub
from stager.peers.jupyter.server import server_state
from tests.peers.odd_server import OddServer, Say, says
from tests.peers.running_hub import RunningHub
from tests.peers.tls_front import TlsFront

NEEDED = '"services": ["{}"], "scopes": ["read:users", "servers", "tokens"]'


def connection(hub: RunningHub, service: str = "staging", **said: object) -> HubConnection:
    return HubConnection.model_validate({"url": hub.url, "token": hub.tokens[service], **said})


@pytest.fixture
def odd() -> Iterator[OddServer]:
    with OddServer().running() as odd:
        yield odd


def test_a_hub_with_the_lines_of_the_manual_does_all_that_is_needed(running_hub: RunningHub) -> None:
    assert check_hub(connection(running_hub)).startswith("6.")


def test_a_token_that_the_hub_does_not_know_is_told(running_hub: RunningHub) -> None:
    with pytest.raises(PeerRefused, match="it does not know our token"):
        check_hub(connection(running_hub, token="guessed"))


@pytest.mark.parametrize(
    ("service", "missing"), [("without-servers", "servers and tokens"), ("without-tokens", "tokens")]
)
def test_a_scope_that_is_missing_is_told_with_the_line_that_adds_it(
    running_hub: RunningHub, service: str, missing: str
) -> None:
    with pytest.raises(PeerRefused) as raised:
        check_hub(connection(running_hub, service))
    assert f"our token has not the scope {missing}; " in raised.value.message
    assert NEEDED.format(service) in raised.value.message


def test_who_starts_no_servers_needs_only_to_see_them(running_hub: RunningHub) -> None:
    assert check_hub(connection(running_hub, "that-starts-nothing", starts_servers=False))
    with pytest.raises(PeerRefused, match="our token has not the scope servers;"):
        check_hub(connection(running_hub, "that-starts-nothing"))


def test_without_a_token_the_hub_is_looked_at_all_the_same(running_hub: RunningHub) -> None:
    with pytest.raises(ConfigurationError, match="each request needs one of its user's"):
        check_hub(connection(running_hub, token=""))


@pytest.mark.parametrize("path", ["", "prefix/hub/"])
def test_an_address_that_is_not_the_hubs_own_is_told(running_hub: RunningHub, path: str) -> None:
    address = running_hub.url.removesuffix("prefix/") + path
    with pytest.raises((ConfigurationError, PeerFault), match=r"no JupyterHub answers there|sends us elsewhere"):
        check_hub(connection(running_hub, url=address))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9/", "nobody listens there"),
        ("http://hub.invalid/", "its name leads to no address"),
        ("{https}", "no TLS is spoken there"),
        ("{tls}", "its certificate is not trusted"),
    ],
)
def test_a_hub_that_cannot_be_reached_is_told(
    running_hub: RunningHub, tls_front: TlsFront, url: str, words: str
) -> None:
    tls = f"https://127.0.0.1:{tls_front.port}/prefix/"
    address = url.format(https=running_hub.url.replace("http:", "https:"), tls=tls)
    with pytest.raises(PeerNotReachable, match=words):
        check_hub(connection(running_hub, url=address))


@pytest.mark.parametrize("between", ["\n", " "])
def test_a_hub_is_trusted_by_the_certificates_that_are_given(
    running_hub: RunningHub, tls_front: TlsFront, between: str
) -> None:
    certificates = between.join(tls_front.certificate.splitlines())  # a form's field has one line
    said = {"url": f"https://127.0.0.1:{tls_front.port}/prefix/", "certificates": certificates}
    assert check_hub(connection(running_hub, **said))


def test_a_certificate_of_another_name_is_told(running_hub: RunningHub, tls_front: TlsFront) -> None:
    said = {"url": f"https://localhost:{tls_front.port}/prefix/", "certificates": tls_front.certificate}
    with pytest.raises(PeerNotReachable, match="its certificate is not trusted: Hostname mismatch"):
        check_hub(connection(running_hub, **said))


VERSION = r"GET /hub/api/ "


@pytest.mark.parametrize(
    ("say", "kind", "words"),
    [
        (says({"version": "2.3.1"}), ConfigurationError, "it is JupyterHub 2.3.1, and 3.0 or a later one is needed"),
        (says({"version": 6}), ConfigurationError, "no JupyterHub answers there"),
        (says({"version": "6"}, "404 Not Found"), ConfigurationError, "no JupyterHub answers there"),
        (says(["6.1"]), ConfigurationError, "no JupyterHub answers there"),
        (says(b"6.1.0"), ConfigurationError, "no JupyterHub answers there"),
        (says({}, "503 Service Unavailable"), PeerFault, "503 Service Unavailable"),
    ],
)
def test_what_is_no_hub_or_an_old_one_never_sees_the_token(
    odd: OddServer, say: Say, kind: type[Exception], words: str
) -> None:
    odd.answers = {VERSION: say}
    with pytest.raises(kind, match=words):
        check_hub(HubConnection(url=odd.url, token=SecretStr("secret")))
    assert not any(b"secret" in head for head in odd.heads)


@pytest.mark.parametrize("said", [{}, {"scopes": None, "name": ["odd"]}, {"scopes": [["servers"]]}])
def test_a_hub_that_tells_no_scopes_is_taken_for_one_that_gives_none(odd: OddServer, said: dict[str, object]) -> None:
    odd.answers = {VERSION: says({"version": "6.1.0"}), "GET /hub/api/user ": says(said)}
    with pytest.raises(PeerRefused, match="read:users and servers and tokens"):
        check_hub(HubConnection(url=odd.url, token=SecretStr("secret")))


def test_a_users_own_token_is_used_alone(odd: OddServer) -> None:
    odd.answers = {"GET": says({"name": "alice", "servers": {}})}
    for token in (SecretStr("services"), SecretStr("")):
        with HubConnection(url=odd.url, token=token).opened(SecretStr("users")) as hub:
            hub.look("alice")
    assert [b"Bearer users" in head for head in odd.heads] == [True, True]


def test_without_any_token_nobody_is_asked() -> None:
    with (
        pytest.raises(ConfigurationError, match="there is no token for it"),
        HubConnection(url="http://hub.invalid").opened(),
    ):
        pass


def test_runs_reach_a_hub_and_its_servers_by_their_own_address(running_hub: RunningHub) -> None:
    said = connection(running_hub, url="https://hub.invalid/prefix", url_for_runs=running_hub.url)
    assert check_hub(said)
    with said.opened() as hub:
        assert (str(hub.url), str(hub.public_url)) == (running_hub.url, "https://hub.invalid/prefix/")


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ({"url": "/prefix/user/a/"}, "http://proxy/prefix/user/a/"),
        ({"url": "/prefix/user/a/", "full_url": "https://hub.invalid/prefix/user/a/"}, "http://proxy/prefix/user/a/"),
        (
            {"url": "/prefix/user/a/", "full_url": "https://a.invalid/prefix/user/a/"},
            "https://a.invalid/prefix/user/a/",
        ),
    ],
)
def test_a_notebook_server_is_reached_as_its_hub_is(server: dict[str, str], url: str) -> None:
    public = httpx.URL("https://hub.invalid/prefix/")
    state = server_state({"name": "a", "servers": {"": server}}, "", httpx.URL("http://proxy/prefix/"), public)
    assert state.url == url


@pytest.mark.parametrize(
    ("usernames", "named"),
    [
        ({}, {"alice": "alice"}),
        ({"alice": "a.smith"}, {"alice": "a.smith", "bob": "bob"}),
        ({"*": "{username}@ska.int", "alice": "a.smith"}, {"alice": "a.smith", "bob": "bob@ska.int"}),
    ],
)
def test_users_have_the_names_that_the_operator_says(usernames: dict[str, str], named: dict[str, str]) -> None:
    said = HubConnection(url="http://hub.invalid", usernames=usernames)
    assert {user: said.username_at_hub(user) for user in named} == named


def test_nobody_gets_into_the_notebook_of_another_by_the_name_of_their_account() -> None:
    said = HubConnection(url="http://hub.invalid", usernames={"alice": "a.smith"})
    for account in ("a.smith", "A.Smith"):
        with pytest.raises(ConfigurationError, match=rf"{account} is the name of alice there"):
            said.username_at_hub(account)


def test_a_name_that_the_hub_spells_otherwise_is_mapped_by_the_operator(running_hub: RunningHub) -> None:
    with connection(running_hub).opened() as hub, pytest.raises(NotebookUserUnknown, match="Alice"):
        hub.look("Alice")
    mapped = connection(running_hub, usernames={"Alice": "alice"})
    with mapped.opened() as hub:
        assert hub.look(mapped.username_at_hub("Alice")).username == "alice"


def test_a_hub_is_told_a_name_as_it_spells_that_itself(odd: OddServer) -> None:
    server = {"url": "/user/a.smith/", "ready": True}
    odd.answers = {
        "GET /hub/api/users/A.Smith ": says({"name": "a.smith", "servers": {"": server}}),
        "POST /hub/api/users/a.smith/tokens ": says({"token": "for-one-server", "id": "a1"}),
        "DELETE /hub/api/users/a.smith/tokens/a1 ": says({}),
    }
    with HubConnection(url=odd.url, token=SecretStr("secret")).opened() as hub, hub.token_for(hub.look("A.Smith")):
        pass
    assert len(odd.heads) == len(odd.answers)


@pytest.mark.parametrize(("folder", "folder_there"), [("", ""), ("/home/{username}/", "home/alice"), ("data", "data")])
def test_paths_begin_in_the_folder_that_the_operator_says(folder: str, folder_there: str) -> None:
    assert HubConnection(url="http://hub.invalid", folder=folder).folder_of("alice") == folder_there


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"url": ""}, "the hub's address is missing"),
        ({"url": "hub.invalid"}, "does not begin with https"),
        ({"url": "https://us:hunter2@hub.invalid"}, "a name or a password in it"),
        ({"url_for_runs": "https://us:hunter2@hub.invalid"}, "a name or a password in it"),
        ({"certificates": "hunter2"}, "no certificate in it"),
        ({"certificates": "-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----"}, "cannot be read"),
        ({"folder": "a/../b"}, "begins with a dot"),
        ({"usernames": {"alice": ""}}, "at least 1 character"),
        ({"root": "home"}, "should match pattern"),
        ({"start_seconds": 0}, "greater than 0"),
    ],
)
def test_what_cannot_be_is_refused_and_no_secret_repeated(said: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words) as raised:
        HubConnection.model_validate({"url": "https://hub.invalid", "token": "hunter2"} | said)
    assert "hunter2" not in str(raised.value)
