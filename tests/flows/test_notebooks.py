"""The flow into notebook servers, against a real hub."""

from __future__ import annotations

import base64
import os
import signal
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from blocks.jupyterhub import JupyterHub
from stager.errors import RunLost
from stager.models import StagingItem, StagingRequest, Status
from stager.peers.jupyter import HubConnection, start, stop
from stager.records.events import events_of
from stager.records.requests import cancel_request, create_request, fail_request
from stager.user_secrets import SecretKeys
from tests.flows.conftest import RUN, STEPS, Site
from tests.patience import PATIENCE
from tests.peers.conftest import make_server, running_hub, shown  # noqa: F401 - the hub: the same, for these tests
from tests.peers.faulty_proxy import FaultyProxy, done_and_then
from tests.peers.running_hub import RunningHub

CONTENT = b"SIMPLE  =                    T"


@dataclass(frozen=True)
class Notebook:
    """A site whose hub is real, and the folder that alice's notebook server shows."""

    site: Site
    home: Path
    folder: str

    def stage(self, *sources: str, **how: str) -> tuple[str, str, str]:
        """Return the request, and its run's final state and log."""
        items = tuple((source, f"{self.folder}/{source}") for source in sources)
        request_id = self.site.request(*items, method="jupyter_copy", **how)  # type: ignore[arg-type]
        return request_id, *self.site.run("jupyter_copy", request_id)


@pytest.fixture
def notebook(site: Site, running_hub: RunningHub) -> Notebook:  # noqa: F811
    hub = JupyterHub(url=running_hub.url, token=SecretStr(running_hub.tokens["staging"]))
    hub.save("jupyterhub", overwrite=True, _sync=True)  # type: ignore[call-arg] # Prefect's decorator takes it
    folder = f"flow-{uuid.uuid4().hex}"
    return Notebook(site, running_hub.home("alice"), folder)


def test_a_file_and_a_directory_arrive_in_the_notebook_and_stay_as_they_are(notebook: Notebook) -> None:
    product = notebook.site.folder / "storage/field.ms"
    (product / "sub").mkdir(parents=True)
    (product / "table.dat").write_bytes(b"1" * 5000)
    (product / "sub/empty").touch()
    request_id, state, log = notebook.stage("a.fits", "field.ms")
    assert state.startswith("Completed"), log
    assert [step for step, _ in notebook.site.task_runs(request_id, len(STEPS))] == STEPS
    there = notebook.home / notebook.folder
    assert (there / "a.fits").read_bytes() == CONTENT
    assert (there / "field.ms/table.dat").read_bytes() == b"1" * 5000
    assert (there / "field.ms/sub/empty").read_bytes() == b""
    assert not (there / "a.fits").stat().st_mode & 0o222
    files = notebook.site.files(request_id)
    assert [(file.status, file.checksum_algorithm, file.left_writable) for file in files] == [
        (Status.COMPLETED, "sha256", None)
    ] * 2
    again, state, log = notebook.stage("a.fits", "field.ms")
    assert state.startswith("Completed"), log
    assert [file.status for file in notebook.site.files(again)] == [Status.SKIPPED] * 2


def test_a_server_of_the_users_own_may_be_named(notebook: Notebook, running_hub: RunningHub) -> None:  # noqa: F811
    with HubConnection(url=running_hub.url, token=SecretStr(running_hub.tokens["staging"])).opened() as hub:
        make_server(hub, "alice", "lab-2")
        request_id, state, log = notebook.stage("a.fits", to="user/lab-2")
        assert state.startswith("Completed"), log
        assert hub.look("alice", "lab-2").is_ready
        stop(hub, "alice", "lab-2", within_seconds=PATIENCE)
    [file] = notebook.site.files(request_id)
    assert file.link == f"{running_hub.url}user/alice/lab-2/lab/tree/{notebook.folder}/a.fits"
    assert (notebook.home / notebook.folder / "a.fits").read_bytes() == CONTENT


def test_a_server_that_its_user_has_not_made_is_not_made_for_a_request(notebook: Notebook) -> None:
    request_id, state, _ = notebook.stage("a.fits", to="user/typed-wrong")
    assert state.startswith("Failed")
    [file] = notebook.site.files(request_id)
    assert file.error_type == "NotebookServerUnknown"


def test_a_hub_that_is_not_there_is_named_and_nothing_else_is_done(notebook: Notebook) -> None:
    request_id, state, _ = notebook.stage("a.fits", to="elsewhere")
    assert state.startswith("Failed")
    [file] = notebook.site.files(request_id)
    assert "The notebook hub 'elsewhere'" in (file.error_reason or "")
    assert not (notebook.home / notebook.folder).exists()


def test_a_cancel_during_a_start_ends_the_run_and_leaves_nothing(
    notebook: Notebook,
    running_hub: RunningHub,  # noqa: F811
) -> None:
    site, token = notebook.site, SecretStr(running_hub.tokens["staging"])
    hub = JupyterHub(url=running_hub.url, token=token, usernames={"alice": "held-long"}, stops_servers=True)
    hub.save("jupyterhub", overwrite=True, _sync=True)  # type: ignore[call-arg]
    request_id = site.request(("a.fits", "a.fits"), method="jupyter_copy")
    with site.running("jupyter_copy", request_id) as process:
        site.eventually(
            lambda: any("Waiting for a machine" in event.detail for event in events_of(site.database, request_id))
        )
        cancel_request(site.database, request_id)
        state, log = site.ended(process)
    assert state.startswith("Cancelled"), log
    assert site.statuses([request_id]) == [Status.CANCELLED]
    with hub.opened() as asked:
        assert not asked.look("held-long").pending


def test_what_is_there_and_differs_is_neither_overwritten_nor_taken_for_delivered(notebook: Notebook) -> None:
    there = notebook.home / notebook.folder
    there.mkdir(parents=True)
    (there / "a.fits").write_bytes(b"precious")
    request_id, state, _ = notebook.stage("a.fits")
    assert state.startswith("Failed")
    [file] = notebook.site.files(request_id)
    assert file.error_type == "DestinationDiffers"
    assert (there / "a.fits").read_bytes() == b"precious"
    assert [path.name for path in there.iterdir()] == ["a.fits"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_who_may_not_read_the_source_gets_nothing_into_their_notebook(notebook: Notebook) -> None:
    site = notebook.site
    (site.folder / "users.toml").write_text("[users.alice]\nuid = 70001\ngid = 70010\n")
    for path in (site.folder / "users.toml", *site.folder.glob("records.db*")):
        path.chmod(0o600)
    (site.folder / "storage/secret.fits").write_bytes(CONTENT)
    (site.folder / "storage/secret.fits").chmod(0o600)
    request_id, state, _ = notebook.stage("a.fits", "secret.fits")
    assert state.startswith("Failed")
    assert [file.error_type for file in site.files(request_id)] == [None, "SourceUnreadable"]
    assert shown(notebook.home / notebook.folder) == ["a.fits"]


def test_a_users_own_token_is_enough_and_the_services_is_not_used(
    notebook: Notebook,
    running_hub: RunningHub,  # noqa: F811
) -> None:
    site, key = notebook.site, base64.urlsafe_b64encode(b"\7" * 32).decode()
    site.settings["STAGER_SECRET_KEY"] = key
    JupyterHub(url=running_hub.url).save("without-token", overwrite=True, _sync=True)  # type: ignore[call-arg]
    with HubConnection(url=running_hub.url, token=SecretStr(running_hub.tokens["staging"])).opened() as hub:
        own = hub.ask("POST", "users/alice/tokens", {"expires_in": 3600}).object()["token"]
    item = StagingItem(source="a.fits", destination=f"{notebook.folder}/a.fits")
    asked = StagingRequest(method="jupyter_copy", username="alice", items=(item,), destination_area="without-token")
    with_token = create_request(site.database, asked, secret=SecretKeys(SecretStr(key)).take(SecretStr(own))).id
    without = create_request(site.database, asked).id
    state, log = site.run("jupyter_copy", without)
    assert state.startswith("Failed"), log
    assert "no token" in (site.files(without)[0].error_reason or "")
    state, log = site.run("jupyter_copy", with_token)
    assert state.startswith("Completed"), log
    assert (notebook.home / notebook.folder / "a.fits").read_bytes() == CONTENT


def test_the_services_token_is_not_used_to_sweep_after_a_users_own(
    notebook: Notebook,
    running_hub: RunningHub,  # noqa: F811
) -> None:
    site = notebook.site
    with HubConnection(url=running_hub.url, token=SecretStr(running_hub.tokens["staging"])).opened() as hub:
        start(hub, "alice", within_seconds=PATIENCE, on_progress=lambda _: None)
    left = notebook.home / notebook.folder / "stager-0123456789abcdef-0123456789abcdef"
    left.mkdir(parents=True)
    item = StagingItem(source="a.fits", destination=f"{notebook.folder}/a.fits")
    asked = StagingRequest(method="jupyter_copy", username="alice", items=(item,))
    own = SecretKeys(SecretStr(base64.urlsafe_b64encode(b"\7" * 32).decode())).take(SecretStr("alice's"))
    for secret, is_left in ((own, True), (None, False)):
        fail_request(site.database, create_request(site.database, asked, secret=secret).id, RunLost("it crashed"))
        state, log = site.run("sweep")
        assert (state, left.exists()) == (f"Completed: {int(not is_left)} leftovers removed", is_left), log


@pytest.mark.parametrize("site", ["sqlite"], indirect=True)
def test_a_run_that_is_killed_in_the_middle_of_a_call_is_taken_up_and_nothing_of_it_is_left(
    notebook: Notebook,
    running_hub: RunningHub,  # noqa: F811
) -> None:
    site = notebook.site
    site.settings["STAGER_LEASE"] = "5"
    with FaultyProxy.before(running_hub.url).running() as proxy:
        behind = JupyterHub(url=proxy.in_front_of(running_hub.url), token=SecretStr(running_hub.tokens["staging"]))
        behind.save("behind-a-proxy", overwrite=True, _sync=True)  # type: ignore[call-arg]
        item = ("a.fits", f"{notebook.folder}/a.fits")
        request_id = site.request(item, method="jupyter_copy", to="behind-a-proxy")
        flow_run_id = site.flow_run("jupyter_copy", request_id)
        with site.executing(RUN, "jupyter_copy", flow_run_id) as killed:
            proxy.break_calls("chunk", done_and_then(killed.kill), spared=1)  # after the folder's
            killed.wait(PATIENCE)
        assert killed.returncode == -signal.SIGKILL
        assert len(shown(notebook.home / notebook.folder)) == 1
        with site.executing(RUN, "jupyter_copy", flow_run_id) as again:
            assert site.ended(again)[0].startswith("Completed")
    assert [file.status for file in site.files(request_id)] == [Status.COMPLETED]
    assert shown(notebook.home / notebook.folder) == ["a.fits"]


def test_where_it_is_is_on_record_as_a_notebook_opens_it_and_as_a_browser_does(
    notebook: Notebook,
    running_hub: RunningHub,  # noqa: F811
) -> None:
    request_id, state, log = notebook.stage("a.fits")
    assert state.startswith("Completed"), log
    [file] = notebook.site.files(request_id)
    assert file.seen_at == f"~/{notebook.folder}/a.fits"
    assert file.link == f"{running_hub.url}user/alice/lab/tree/{notebook.folder}/a.fits"
    [shown] = [artifact["data"] for artifact in notebook.site.artifacts(request_id) if artifact["type"] == "markdown"]
    assert f"- in JupyterLab: [~/{notebook.folder}/a.fits]({file.link})" in shown
