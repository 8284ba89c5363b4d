"""Debian's gfal2, and a certificate for what it is to trust."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE

# gfal2 is no package of PyPI: the distribution's module comes with the distribution's Python.
PYTHON = "/usr/bin/python3"
CLIENT = Path(__file__).parent / "gfal_client.py"


@dataclass(frozen=True)
class Gfal:
    """Debian's gfal2, which trusts one authority alone."""

    trusted: Path

    def __call__(self, call: str, *, bearer_token: str | None = None, **arguments: Any) -> Any:
        """Return what a call of its Python module comes back with."""
        env = {"PATH": os.environ["PATH"], "SSL_CERT_FILE": str(self.trusted)}
        if bearer_token:
            env["BEARER_TOKEN"] = bearer_token
        asked = json.dumps(arguments).encode()
        run = subprocess.run(
            [PYTHON, str(CLIENT), call], env=env, input=asked, capture_output=True, timeout=PATIENCE, check=False
        )
        assert run.returncode == 0, run.stderr.decode()
        return json.loads(run.stdout)


def find_gfal(trusted: Path) -> Gfal:
    """Return Debian's gfal2, or skip the test where there is none."""
    there = Path(PYTHON).exists() and subprocess.run([PYTHON, "-c", "import gfal2"], capture_output=True, check=False)
    if not there or there.returncode:
        pytest.skip("needs gfal2 (Debian: apt-get install python3-gfal2 gfal2-plugin-http)")
    return Gfal(trusted)


def make_certificate(folder: Path) -> Path:
    """Return a certificate of an authority of our own for localhost, with its key beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl (Debian: apt-get install openssl)")
    file = folder / "localhost.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    where = ["-keyout", str(file.with_suffix(".key")), "-out", str(file)]
    subprocess.run(["openssl", "req", *kind, *name, *where], check=True, capture_output=True)
    return file
