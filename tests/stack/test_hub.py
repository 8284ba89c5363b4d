"""`make up HUB=1`: a newcomer's data arrive in the newcomer's notebook server, and are opened there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deployments.local.settings import own_username
from tests import browser
from tests.open_folder import open_folder
from tests.patience import PATIENCE
from tests.peers.running_hub import is_installed
from tests.ports import free_port
from tests.stack.conftest import end, give_prefect, launch, processes_of, wait_until_ready

pytestmark = [pytest.mark.stack, pytest.mark.hub]
USER = own_username()


@dataclass(frozen=True)
class StackWithHub:
    """Where the parts are, and how their user logs in."""

    http: str
    home: Path
    password: str


@pytest.fixture
def stack_with_hub() -> Iterator[StackWithHub]:
    if not (is_installed() and browser.is_installed()):
        pytest.skip("needs JupyterHub, its proxy and Chromium (`make test` installs them)")
    with open_folder() as folder:
        hub = {"STAGER_HUB": "true", "STAGER_HUB_PORT": str(free_port(successors=2))}
        give_prefect(folder)
        launcher, port, _ = launch(folder, log := folder / "console.log", **hub)
        try:
            wait_until_ready(launcher, log)
            password = (folder / "state/prefect-password").read_text().strip()
            yield StackWithHub(f"http://127.0.0.1:{port}", folder / "notebooks" / USER, password)
        finally:
            status = end(launcher)
            assert (status, processes_of(folder)) == (0, [])


def test_what_is_staged_is_opened_in_jupyterlab_by_its_link(stack_with_hub: StackWithHub, tmp_path: Path) -> None:
    sources = ("demo/demo.ms", "demo/demo.ms/table.info")
    asked = {
        "method": "jupyter_copy",
        "username": USER,
        "items": [{"source": source, "destination": f"new/{Path(source).name}"} for source in sources],
    }
    url = f"{stack_with_hub.http}/requests"
    made = httpx.post(url, json=asked, headers={"Prefer": "wait=300"}, timeout=PATIENCE).json()
    request = httpx.get(f"{url}/{made['request_id']}").json()
    product, file = request["items"]
    assert (request["status"], product["left_writable"]) == ("completed", None)
    assert (stack_with_hub.home / "new/table.info").stat().st_mode & 0o777 == 0o400

    with browser.open_page(tmp_path) as page:
        page.open(product["link"])
        page.wait_for("document.querySelector('#password_input')")
        for field, text in {"username": USER, "password": stack_with_hub.password}.items():
            page.value(f"document.querySelector('#{field}_input').value = {json.dumps(text)}")
        page.value("document.querySelector('#login_submit').click()")
        listed = "[...document.querySelectorAll('.jp-DirListing-itemName')].map(one => one.innerText)"
        page.wait_for(f"{listed}.includes('table.dat')")
        page.open(file["link"])
        page.wait_for("document.querySelector('.cm-content')?.innerText.includes('Measurement Set')")
