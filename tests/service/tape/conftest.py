"""Debian's gfal2, and a door that it reaches by TLS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..conftest import ServedDoor  # noqa: TID252 - several files are called conftest

# gfal2 is no package of PyPI: the distribution's module comes with the distribution's Python.
PYTHON = "/usr/bin/python3"
CLIENT = Path(__file__).parent / "gfal_client.py"


@dataclass(frozen=True)
class Gfal:
    """Debian's gfal2, which trusts one authority alone."""

    trusted: Path

    def __call__(self, call: str, **arguments: Any) -> Any:
        """Return what a call of its Python module comes back with."""
        env = {"PATH": os.environ["PATH"], "SSL_CERT_FILE": str(self.trusted)}
        asked = json.dumps(arguments).encode()
        run = subprocess.run(
            [PYTHON, str(CLIENT), call], env=env, input=asked, capture_output=True, timeout=120, check=False
        )
        assert run.returncode == 0, run.stderr.decode()
        return json.loads(run.stdout)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of an authority of our own for localhost, and its key beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl (Debian: apt-get install openssl)")
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    where = ["-keyout", str(file.with_suffix(".key")), "-out", str(file)]
    subprocess.run(["openssl", "req", *kind, *name, *where], check=True, capture_output=True)
    return file


@pytest.fixture(scope="session")
def gfal(certificate: Path) -> Gfal:
    """Debian's gfal2."""
    there = Path(PYTHON).exists() and subprocess.run([PYTHON, "-c", "import gfal2"], capture_output=True, check=False)
    if not there or there.returncode:
        pytest.skip("needs gfal2 (Debian: apt-get install python3-gfal2 gfal2-plugin-http)")
    return Gfal(certificate)


@pytest.fixture(scope="session")
def tls_door(
    serve: Callable[..., AbstractContextManager[ServedDoor]],
    certificate: Path,
    session_database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServedDoor]:
    """A door by TLS, without Prefect: the tests do what a run does."""
    nobody = "http://127.0.0.1:9/api"  # discard: nobody answers
    folder = tmp_path_factory.mktemp("tls-door")
    with serve(folder, database_url=session_database_url, prefect_api=nobody, certificate=certificate) as door:
        yield door
