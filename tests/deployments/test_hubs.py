"""JupyterHubs as Prefect blocks: filled in once, by people or by the settings, and checked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.blocks.core import Block

from blocks.hubs import resolve_hub, seed_hub
from blocks.jupyterhub import JupyterHub
from stager.errors import ConfigurationError
from stager.models import SITES_HUB
from stager.settings import DEMOS_HUB, Settings
from tests.ask_prefect import ask_prefect
from tests.deployments.block_suite import OurBlockSuite
from tests.deployments.run_module import run_module
from tests.peers.odd_server import OddServer, says
from tests.peers.tls_front import TlsFront

TOKEN, ANOTHER = "5f2b9e0c", "c0e9b2f5"
FILLED_IN: dict[str, Any] = {
    "url": "https://hub.invalid/",
    "token": TOKEN,
    "usernames": {"alice": "a.smith"},
    "start_seconds": 20.0,
}


class TestJupyterHub(OurBlockSuite):
    @pytest.fixture
    def block(self) -> type[Block]:
        return JupyterHub


@pytest.fixture
def name(prefect_api: str) -> str:
    """The name of a hub's block of the test's own; the kind is known to Prefect."""
    assert prefect_api
    JupyterHub.register_type_and_schema()
    return f"hub-{uuid4().hex[:8]}"


@pytest.fixture
def odd() -> Iterator[OddServer]:
    """What tells of itself that it is a hub whose service may do all that is needed."""
    with OddServer().running() as odd:
        odd.answers = {
            "GET /hub/api/ ": says({"version": "6.1.0"}),
            "GET /hub/api/user ": says({"name": "staging", "scopes": ["read:users", "servers", "tokens"]}),
        }
        yield odd


def saved(prefect_api: str, name: str) -> dict[str, Any]:
    """Return a hub's block as Prefect shows it to whoever does not ask for secrets."""
    return dict(ask_prefect("GET", f"{prefect_api}/block_types/slug/jupyterhub/block_documents/name/{name}"))


def edit(prefect_api: str, name: str, **data: object) -> None:
    """Edit a block as Prefect's pages do."""
    body = {"data": data, "merge_existing_data": True}
    address = f"{prefect_api}/block_documents/{saved(prefect_api, name)['id']}"
    ask_prefect("PATCH", address, body)


def test_a_hub_is_what_the_operator_filled_in_and_its_token_is_not_shown(prefect_api: str, name: str) -> None:
    JupyterHub(**FILLED_IN).save(name)
    hub = resolve_hub(name)
    assert hub.token.get_secret_value() == TOKEN
    assert hub.model_dump(include=FILLED_IN.keys() - {"token"}) == {
        key: value for key, value in FILLED_IN.items() if key != "token"
    }
    assert TOKEN not in str(saved(prefect_api, name))
    assert TOKEN not in repr(hub)


def test_a_field_that_was_emptied_has_its_default(prefect_api: str, name: str) -> None:
    JupyterHub(**FILLED_IN).save(name)
    edit(prefect_api, name, usernames=None, start_seconds=None, certificates=None)
    hub = resolve_hub(name)
    assert (hub.usernames, hub.start_seconds, hub.certificates) == ({}, 300, "")


def test_a_hub_that_there_is_not_or_that_cannot_be_is_told(prefect_api: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match="no block JupyterHub of that name"):
        resolve_hub(name)
    JupyterHub(**FILLED_IN).save(name)
    edit(prefect_api, name, url="hub.invalid", start_seconds=-1)
    with pytest.raises(ConfigurationError, match=rf"{name}.*url: .*begin with https.*; start_seconds: ") as raised:
        resolve_hub(name)
    assert TOKEN not in raised.value.message


def test_whoever_runs_the_check_is_told_what_is_wrong(
    prefect_api: str, name: str, odd: OddServer, tmp_path: Path
) -> None:
    JupyterHub(url=odd.url, token=TOKEN).save(name)
    check = ("deployments.check_hub", name)
    done = run_module(prefect_api, tmp_path, *check)
    assert (done.returncode, done.stdout) == (0, "JupyterHub 6.1.0 answers, and our token does what is needed\n")
    odd.answers["GET /hub/api/user "] = says({}, "403 Forbidden")
    done = run_module(prefect_api, tmp_path, *check)
    assert (done.returncode, "it does not know our token" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr


@pytest.fixture
def seeded(name: str) -> Iterator[None]:
    """Leave no block of the settings' behind."""
    assert name
    yield
    with suppress(ValueError):
        JupyterHub.delete(SITES_HUB)


def seed(**settings: object) -> JupyterHub | None:
    return asyncio.run(seed_hub(Settings.model_validate({"jupyterhub_url": "https://hub.invalid", **settings})))


@pytest.mark.usefixtures("seeded")
def test_what_an_operator_filled_in_stays_when_the_settings_change(prefect_api: str, tmp_path: Path) -> None:
    with TlsFront(tmp_path, port=9).running() as front:
        certificates = tmp_path / "ca.pem"
        certificates.write_text(front.certificate)
    seed(jupyterhub_token=TOKEN)
    edit(prefect_api, SITES_HUB, usernames={"alice": "a.smith"}, url="https://other.invalid/")
    seed(jupyterhub_token=TOKEN)
    hub = resolve_hub()
    assert (hub.url, hub.usernames) == ("https://other.invalid/", {"alice": "a.smith"})
    seed(jupyterhub_token=ANOTHER, jupyterhub_url_for_runs="http://proxy", jupyterhub_ca_file=certificates)
    hub = resolve_hub()
    assert (hub.url, hub.url_for_runs) == ("https://hub.invalid/", "http://proxy/")
    assert (hub.token.get_secret_value(), hub.usernames) == (ANOTHER, {"alice": "a.smith"})
    assert hub.certificates == certificates.read_text()
    shown = str(saved(prefect_api, SITES_HUB))
    assert (TOKEN in shown, ANOTHER in shown) == (False, False)


@pytest.mark.usefixtures("seeded")
def test_what_the_settings_say_nothing_of_is_not_emptied(prefect_api: str) -> None:
    JupyterHub(**FILLED_IN, url_for_runs="http://proxy/").save(SITES_HUB)
    seed()
    hub = resolve_hub()
    assert (hub.token.get_secret_value(), hub.url_for_runs, hub.start_seconds) == (TOKEN, "http://proxy/", 20)
    edit(prefect_api, SITES_HUB, token=ANOTHER)
    seed(jupyterhub_url="https://moved.invalid")
    hub = resolve_hub()
    assert (hub.url, hub.token.get_secret_value()) == ("https://moved.invalid/", ANOTHER)


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("left", [None, "", "no JSON", "1"])
def test_what_the_settings_said_before_and_say_no_more_is_emptied(prefect_api: str, left: str | None) -> None:
    seed(jupyterhub_token=TOKEN)
    seed()
    assert not resolve_hub().token
    edit(prefect_api, SITES_HUB, seeded_from=left, token=ANOTHER)
    seed(jupyterhub_url_for_runs="http://proxy")
    assert resolve_hub().token.get_secret_value() == ANOTHER


@pytest.mark.usefixtures("seeded")
def test_without_an_address_the_settings_say_nothing_of_a_hub() -> None:
    assert seed(jupyterhub_url=None) is None
    assert seed(jupyterhub_url="") is None
    assert seed(jupyterhub_url=DEMOS_HUB, jupyterhub_token=TOKEN) is None
    with pytest.raises(ConfigurationError, match="no block JupyterHub of that name"):
        resolve_hub()


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"jupyterhub_url": "jupyterhub"}, "url: .*does not begin with https"),
        ({"jupyterhub_ca_file": "/nowhere/ca.pem"}, "No such file"),
        ({"jupyterhub_ca_file": __file__}, "certificates: .*no certificate in it"),
    ],
)
def test_settings_that_cannot_be_are_told(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as raised:
        seed(jupyterhub_token=TOKEN, **wrong)
    assert TOKEN not in raised.value.message


@pytest.mark.usefixtures("seeded")
def test_registration_tells_whether_the_hub_of_the_settings_can_be_used(
    prefect_api: str, odd: OddServer, tmp_path: Path
) -> None:
    def register(url: str) -> str:
        done = run_module(prefect_api, tmp_path, "deployments.register", JUPYTERHUB_URL=url, **token)
        assert done.returncode == 0, done.stderr
        return done.stdout

    token = {"STAGER_JUPYTERHUB_TOKEN": TOKEN}
    assert "notebook hub 'jupyterhub': JupyterHub 6.1.0 answers, and our token does what is needed\n" in register(
        odd.url
    )
    assert resolve_hub().url == odd.url
    assert "nobody listens there\n" in register("http://127.0.0.1:9")
    assert "does not begin with https" in register("jupyterhub")
