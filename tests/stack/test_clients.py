"""Clients that others' generators make of the API's description, as the manual's page says, stage files."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from tests.stack.conftest import USER

if TYPE_CHECKING:
    from tests.stack.conftest import Stack

pytestmark = pytest.mark.stack
CHECKOUT = Path(__file__).parents[2]
PYTHONS = CHECKOUT / ".run" / "venv-clients" / "bin"
NODES = Path(__file__).parent / "clients" / "node_modules"
PAGE = (CHECKOUT / "docs" / "how-to" / "clients.md").read_text()
IN_PYTHON, IN_TYPESCRIPT = re.findall(r"^## In \w+$.*?(?=^## )", PAGE, re.DOTALL | re.MULTILINE)


def block(language: str, page: str) -> str:
    """Return the first block of a language on a page."""
    return str(re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)[0])


def ran(command: str | list[str], folder: Path) -> str:
    """Return what a command prints, found where both generators are."""
    path = f"{PYTHONS}:{NODES / '.bin'}:{os.environ['PATH']}"
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_UPDATE_NOTIFIER": "1"}
    words = ["/bin/sh", "-ec", command] if isinstance(command, str) else command
    run = subprocess.run(
        words, cwd=folder, env=os.environ | quiet | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which Node.js finds its packages."""
    if not (NODES / "installed.json").exists() or not shutil.which("node"):
        pytest.skip("needs Node.js 20.19 and what generates clients (deployments/local/test_packages installs it)")
    made = tmp_path_factory.mktemp("clients")
    (made / "node_modules").symlink_to(NODES)
    return made


@pytest.fixture(scope="module")
def python_client(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a client in Python."""
    if not (PYTHONS / "openapi-python-client").exists():
        pytest.skip("needs .run/venv-clients (make test makes it)")
    made = tmp_path_factory.mktemp("python")
    (made / "generator.yaml").write_text(block("yaml", IN_PYTHON))
    (made / "stage.py").write_text(block("python", IN_PYTHON))
    ran(block("sh", IN_PYTHON).replace("http://127.0.0.1:8000", stack.http), made)
    return made


@pytest.fixture
def staging(python_client: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """What gives a module of the client in Python."""
    monkeypatch.syspath_prepend(python_client)
    return lambda name: importlib.import_module(f"staging.{name}")


@pytest.fixture
def calls(stack: Stack, staging: Callable[[str], ModuleType]) -> Iterator[Callable[..., Any]]:
    """What calls the service by the client in Python, and returns the answer in its words."""
    modules = {file.stem: f"api.{file.parent.name}.{file.stem}" for file in _calls_of(staging("api"))}
    with staging("client").AuthenticatedClient(stack.http, token="any") as client:
        yield lambda name, *path, **more: staging(modules[name]).sync(*path, client=client, **more)


def _calls_of(package: ModuleType) -> list[Path]:
    [folder] = package.__path__
    return [file for file in Path(folder).glob("*/*.py") if file.stem != "__init__"]


def check_arrival(stack: Stack, printed: str, destination: str) -> None:
    """Check that a program of the page said truly what it staged."""
    content = (stack.storage / "demo/demo.ms/table.dat").read_bytes()
    status, line = printed.strip().splitlines()
    manifest = json.loads(line)
    copy = stack.user_area / destination

    assert (status.strip(), manifest["path"]) == ("completed", destination)
    assert manifest["checksum"] == f"{zlib.adler32(content):08x}"
    assert (copy.read_bytes(), copy.stat().st_mode & 0o777) == (content, 0o400)


def test_the_pages_program_in_python_stages_a_file(stack: Stack, python_client: Path) -> None:
    paths = ["demo/demo.ms/table.dat", "clients/python"]
    printed = ran([str(PYTHONS / "python"), "stage.py", stack.http, "no-token", USER, *paths], python_client)

    check_arrival(stack, printed, "clients/python")


def test_the_pages_program_in_typescript_fits_the_types_and_stages_a_file(stack: Stack, folder: Path) -> None:
    types, compiling = re.findall(r"^```sh\n(.*?)^```$", IN_TYPESCRIPT, re.DOTALL | re.MULTILINE)
    (folder / "stage.mts").write_text(block("typescript", IN_TYPESCRIPT))
    ran(types.replace("http://127.0.0.1:8000", stack.http) + compiling, folder)
    paths = ["demo/demo.ms/table.dat", "clients/typescript"]
    printed = ran(["node", "stage.mjs", stack.http, "no-token", USER, *paths], folder)

    check_arrival(stack, printed, "clients/typescript")


def test_no_call_is_left_out_of_the_client_in_python(stack: Stack, staging: Callable[[str], ModuleType]) -> None:
    paths = stack.client.get(f"{stack.http}/openapi.json").json()["paths"]
    described = {call["operationId"] for verbs in paths.values() for call in verbs.values()}
    made = {file.stem: staging(f"api.{file.parent.name}.{file.stem}") for file in _calls_of(staging("api"))}

    assert made.keys() == described
    assert [name for name, module in made.items() if not callable(module.sync_detailed)] == []


def test_the_client_in_python_stages_by_the_demos_call(
    stack: Stack, calls: Callable[..., Any], staging: Callable[[str], ModuleType]
) -> None:
    models = staging("models")
    paths = models.StagingPaths(local_path_on_storage="demo/demo.ms/table.dat", relative_path="clients/demo")
    answer = calls("stage_data", body=models.StageDataBody(data=paths), method="local_copy", username=USER)

    assert answer == models.Staged(message=f"Data staged for user {USER} with method local_copy", status="success")
    assert (stack.user_area / "clients/demo").exists()


def test_the_client_in_python_stages_from_a_manifest(
    stack: Stack, calls: Callable[..., Any], staging: Callable[[str], ModuleType]
) -> None:
    items = [{"source": "demo/demo.ms/table.dat", "destination": f"clients/manifest/{number}"} for number in range(3)]
    lines = "".join(json.dumps(item) + "\n" for item in items).encode()
    body = staging("types").File(io.BytesIO(lines))
    answer = calls("create_request_from_manifest", body=body, method="local_copy", username=USER, prefer="wait=60")

    assert (answer.status.value, answer.item_count) == ("completed", 3)
    assert len([*(stack.user_area / "clients/manifest").iterdir()]) == 3


def test_the_client_in_python_cancels_and_does_again(
    stack: Stack, calls: Callable[..., Any], staging: Callable[[str], ModuleType]
) -> None:
    models = staging("models")
    late = stack.storage / "late.fits"
    items = [models.StagingItem(source="late.fits", destination="clients/late")]
    asked = models.RequestBody(method="local_copy", username=USER, items=items)
    failed = calls("create_request", body=asked, prefer="wait=60")
    late.write_bytes(b"SIMPLE")
    again = calls("retry_request", failed.request_id, prefer="wait=60")
    ended = [
        calls("cancel_request", again.request_id),
        calls("cancel_items", again.request_id, body=models.Cancellation()),
    ]
    refused = calls("retry_request", again.request_id)

    assert (failed.status.value, again.status.value, again.retry_of) == ("failed", "completed", failed.request_id)
    assert [(request.request_id, request.status.value) for request in ended] == [(again.request_id, "completed")] * 2
    assert (type(refused), refused.status) == (models.Problem, 409)
    assert (stack.user_area / "clients/late").read_bytes() == b"SIMPLE"


def test_a_linter_finds_nothing_in_the_description(stack: Stack, folder: Path) -> None:
    lint = ["redocly", "lint", "--extends=recommended-strict", "--format=json", f"{stack.http}/openapi.json"]

    assert json.loads(ran(lint, folder))["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}
