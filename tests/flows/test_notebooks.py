"""The flow into notebook servers, against a real hub."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from blocks.jupyterhub import JupyterHub
from stager.models import Status
from tests.flows.conftest import STEPS, Site
from tests.peers.conftest import running_hub  # noqa: F401 - the same, for these tests
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


def test_a_hub_that_is_not_there_is_named_and_nothing_else_is_done(notebook: Notebook) -> None:
    request_id, state, _ = notebook.stage("a.fits", to="elsewhere")
    assert state.startswith("Failed")
    [file] = notebook.site.files(request_id)
    assert "The notebook hub 'elsewhere'" in (file.error_reason or "")
    assert not (notebook.home / notebook.folder).exists()


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


def test_who_may_not_read_the_source_gets_nothing_into_their_notebook(notebook: Notebook) -> None:
    secret = notebook.site.folder / "storage/secret.fits"
    secret.write_bytes(CONTENT)
    secret.chmod(0)
    request_id, state, _ = notebook.stage("secret.fits")
    if notebook.site.files(request_id)[0].status is Status.COMPLETED:
        pytest.skip("runs as root for itself, who may read all")
    assert state.startswith("Failed")
    assert not (notebook.home / notebook.folder).exists()
