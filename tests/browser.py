"""Debian's Chromium, without a window, asked by the protocol of its developer tools."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.patience import PATIENCE

PROGRAM = "chromium"
OPTIONS = ("--headless", "--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking")


class Page:
    """One page of a browser.

    Notes
    -----
    https://chromedevtools.github.io/devtools-protocol
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self._asked = connection, 0

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._asked += 1
        self._connection.send(json.dumps({"id": self._asked, "method": method, "params": params}))
        while (answer := json.loads(self._connection.recv(PATIENCE))).get("id") != self._asked:
            pass
        return dict(answer.get("result", {}))  # of what the page is leaving, there is none

    def open(self, url: str) -> None:
        self.ask("Page.navigate", url=url)

    def value(self, expression: str) -> Any:
        """Return what JavaScript says in the page; None while it cannot be asked."""
        answer = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        return None if "exceptionDetails" in answer else answer.get("result", {}).get("value")

    def wait_for(self, expression: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.value(f"Boolean({expression})"):
            assert time.monotonic() < deadline, self.value("document.body.innerText")
            time.sleep(0.1)


def is_installed() -> bool:
    return shutil.which(PROGRAM) is not None


@contextmanager
def open_page(folder: Path) -> Iterator[Page]:
    """Start a browser, which keeps what it keeps in a folder, and give its page."""
    command = [PROGRAM, *OPTIONS, "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"]
    with (folder / "log").open("wb") as log:
        browser = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with connect(_address(browser, folder), max_size=None) as connection:
            yield Page(connection)
    finally:
        browser.terminate()
        browser.wait(PATIENCE)


def _address(browser: subprocess.Popen[bytes], folder: Path) -> str:
    told, deadline = folder / "DevToolsActivePort", time.monotonic() + PATIENCE
    while not (told.exists() and told.read_text()):
        assert browser.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.05)
    port = told.read_text().splitlines()[0]
    while not (pages := [one for one in httpx.get(f"http://127.0.0.1:{port}/json").json() if one["type"] == "page"]):
        assert time.monotonic() < deadline
    return str(pages[0]["webSocketDebuggerUrl"])
