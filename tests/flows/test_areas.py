"""A storage area is what the operator made of it in Prefect's pages, also while Prefect is away."""

from __future__ import annotations

import asyncio
import socket
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from blocks.areas import seed_areas
from blocks.storage_area import StorageAreaBlock
from stager.settings import Settings
from tests.ask_prefect import ask_prefect
from tests.flows.conftest import site_of
from tests.ports import NO_PREFECT
from tests.service.conftest import Gate

pytestmark = pytest.mark.stack
# Says where it takes data from, and again when what it knows is stale and the file named is there.
RESOLVE = """
import sys, time
from pathlib import Path
from blocks.areas import FRESH_SECONDS, resolve_area
print(resolve_area("source").path, flush=True)
while not Path(sys.argv[1]).exists():
    time.sleep(0.05)
time.sleep(FRESH_SECONDS)
print(resolve_area("source").path, flush=True)
"""


@pytest.fixture
def without_areas(prefect_api: str) -> Iterator[None]:
    """Leave no area behind: other tests' runs would use it."""
    yield
    for block in ask_prefect("GET", f"{prefect_api}/block_types/slug/storage-area/block_documents"):
        ask_prefect("DELETE", f"{prefect_api}/block_documents/{block['id']}")


@pytest.fixture
def gate(prefect_api: str) -> Iterator[Gate]:
    """A way to Prefect that can be shut."""
    with closing(Gate(urlsplit(prefect_api).port or 80)) as made:
        yield made


def seed(path: str) -> list[str]:
    return asyncio.run(seed_areas(Settings(source_storage_path=Path(path), target_storage_path=Path("/users"))))


def edit(path: str) -> None:
    async def save() -> None:
        block: StorageAreaBlock = await StorageAreaBlock.aload("source")
        block.path = Path(path)
        await block.asave("source", overwrite=True)

    asyncio.run(save())


def source_path() -> str:
    async def load() -> str:
        block: StorageAreaBlock = await StorageAreaBlock.aload("source")
        return str(block.path)

    return asyncio.run(load())


@pytest.mark.usefixtures("without_areas")
def test_an_operators_edit_stays_until_the_environment_says_something_else() -> None:
    assert seed("/from the environment") == ["source", "user"]
    edit("/from the operator")
    assert seed("/from the environment") == []
    assert source_path() == "/from the operator"
    assert seed("/anew") == ["source"]
    assert source_path() == "/anew"


@pytest.mark.usefixtures("without_areas")
def test_while_prefect_is_away_the_last_known_area_counts_or_else_the_settings(
    gate: Gate, tmp_path: Path, prefect_api: str
) -> None:
    seed("/from the environment")
    edit("/from the operator")
    shut = tmp_path / "shut"
    with site_of(tmp_path, f"sqlite:///{tmp_path}/records.db", prefect_api) as site:
        api = f"http://127.0.0.1:{gate.port}/api"
        site.settings.update({"PREFECT_API_URL": api, "PREFECT_CLIENT_MAX_RETRIES": "0"})
        with site.python(RESOLVE, str(shut)) as knowing:
            assert knowing.stdout is not None
            assert knowing.stdout.readline() == "/from the operator\n"
            gate.is_open = False
            shut.touch()
            with site.forked(RESOLVE, str(shut)) as ignorant:
                assert site.ended(ignorant)[0].splitlines() == [str(site.folder / "storage")] * 2
            assert site.ended(knowing)[0] == "/from the operator"


@pytest.mark.usefixtures("without_areas")
def test_a_process_that_is_told_of_the_areas_need_not_ask(tmp_path: Path, prefect_api: str) -> None:
    seed("/from the operator")
    with site_of(tmp_path, f"sqlite:///{tmp_path}/records.db", prefect_api) as site:
        with site.forked("from blocks.areas import *; refresh_areas(); print(areas_as_known())") as teller:
            told = site.ended(teller)[0]
        site.settings.update({"PREFECT_API_URL": NO_PREFECT, "PREFECT_CLIENT_MAX_RETRIES": "0"})
        program = "import sys; from blocks.areas import *; adopt_areas(sys.argv[1]); print(resolve_area('source').path)"
        with site.forked(program, told) as hearer:
            assert site.ended(hearer)[0] == "/from the operator"


@pytest.mark.usefixtures("without_areas")
def test_no_block_is_an_area_outside_the_folders_that_the_settings_name(tmp_path: Path, prefect_api: str) -> None:
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage/out").symlink_to("/etc")
    seed("/")
    for name, path in (("within", "storage/inner"), ("beside", "storage-b"), ("through-a-link", "storage/out")):
        asyncio.run(StorageAreaBlock(path=tmp_path / path).asave(name))
    with site_of(tmp_path, f"sqlite:///{tmp_path}/records.db", prefect_api, STAGER_AREA_ROOTS="[]") as site:
        program = "from blocks.areas import *; print(*[f'{area.name}={area.path}' for area in known_areas()])"
        with site.forked(program) as process:
            known, log = site.ended(process)
    areas = dict(area.split("=") for area in known.split())
    assert areas.keys() == {"source", "user", "within"}
    assert areas["source"] == str(tmp_path / "storage")
    assert all(f"The storage area {name} cannot be used" in log for name in ("source", "beside", "through-a-link"))


@pytest.mark.usefixtures("without_areas")
def test_an_area_that_was_removed_is_forgotten_and_a_bad_one_harms_no_other(tmp_path: Path, prefect_api: str) -> None:
    seed("/from the operator")
    asyncio.run(StorageAreaBlock(path=Path("/old")).asave("old"))
    program = """
        import asyncio
        from blocks.areas import known_areas
        from blocks.storage_area import StorageAreaBlock
        assert [area.name for area in known_areas()] == ["old", "source", "user"]
        asyncio.run(StorageAreaBlock.adelete("old"))
        assert [area.name for area in known_areas()] == ["source", "user"]
        print("forgotten")
    """
    with site_of(tmp_path, f"sqlite:///{tmp_path}/records.db", prefect_api) as site:
        with site.forked(textwrap.dedent(program)) as process:
            assert site.ended(process)[0] == "forgotten"
        blocks = ask_prefect("GET", f"{prefect_api}/block_types/slug/storage-area/block_documents")
        (user,) = (block for block in blocks if block["name"] == "user")
        slip = {"data": {"path": None}, "merge_existing_data": False}
        ask_prefect("PATCH", f"{prefect_api}/block_documents/{user['id']}", slip)
        with site.forked("from blocks.areas import resolve_area; print(resolve_area('source').path)") as process:
            assert site.ended(process)[0] == "/from the operator"


def test_prefect_is_not_asked_each_time_for_an_area_that_there_is_not(tmp_path: Path, prefect_api: str) -> None:
    program = """
        import logging, time
        from blocks.areas import UNKNOWN_SECONDS, resolve_area
        from stager.errors import UnknownArea

        calls = []
        logging.getLogger("httpx").setLevel("INFO")  # a line a call
        logging.getLogger("httpx").addFilter(calls.append)

        def calls_after_asking_for(name):
            try:
                resolve_area(name)
            except UnknownArea:
                return len(calls)

        first = calls_after_asking_for("none")
        assert first > 0
        assert [calls_after_asking_for(name) for name in ("none", "none", "nor-this")] == [first] * 3
        time.sleep(UNKNOWN_SECONDS)
        assert calls_after_asking_for("none") > first
        print("asked again later")
    """
    with (
        site_of(tmp_path, f"sqlite:///{tmp_path}/records.db", prefect_api) as site,
        site.forked(textwrap.dedent(program)) as process,
    ):
        assert site.ended(process)[0] == "asked again later"


@pytest.mark.usefixtures("without_areas")
def test_where_areas_are_kept_known_nobody_waits_for_prefect_though_it_goes_away(
    gate: Gate, tmp_path: Path, prefect_api: str
) -> None:
    seed("/from the operator")
    program = """
        import asyncio, sys, threading, time
        from pathlib import Path
        from blocks import areas

        areas.FRESH_SECONDS, areas.POLL_SECONDS = 5.0, 0.2
        asked, ask = [], areas._documents

        def documents():
            found = ask()
            asked.append((threading.current_thread(), found is None))
            return found

        areas._documents = documents
        threading.Thread(target=asyncio.run, args=(areas.keep_areas_known(),), daemon=True).start()
        while "source" not in areas._known:
            time.sleep(0.01)
        print("asked", flush=True)
        while sum(was_in_vain for _, was_in_vain in asked) < 40:
            assert str(areas.resolve_area("source").path) == "/from the operator"
            time.sleep(0.01)
        assert threading.main_thread() not in {thread for thread, _ in asked}
        print("did not wait")
    """
    with site_of(tmp_path, f"sqlite:///{tmp_path}/records.db", prefect_api) as site:
        api = f"http://127.0.0.1:{gate.port}/api"
        site.settings.update({"PREFECT_API_URL": api, "PREFECT_CLIENT_MAX_RETRIES": "0"})
        with site.python(textwrap.dedent(program)) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "asked\n"
            gate.is_open = False
            assert site.ended(process)[0] == "did not wait"


@pytest.mark.usefixtures("without_areas")
def test_while_prefect_is_asked_and_silent_the_last_known_area_counts(tmp_path: Path, prefect_api: str) -> None:
    seed("/from the operator")
    program = """
        import asyncio, os, sys, threading, time
        from blocks import areas

        areas.FRESH_SECONDS = 0.5
        areas.adopt_areas(sys.argv[1])
        threading.Thread(target=asyncio.run, args=(areas.keep_areas_known(),), daemon=True).start()
        while not areas._asking.locked():
            time.sleep(0.01)
        time.sleep(4 * areas.FRESH_SECONDS)
        assert areas._asking.locked()
        print(areas.resolve_area("source").path, flush=True)
        os._exit(0)  # nobody waits for the question here
    """
    with (
        site_of(tmp_path, f"sqlite:///{tmp_path}/records.db", prefect_api) as site,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        with site.forked("from blocks.areas import *; refresh_areas(); print(areas_as_known())") as teller:
            told = site.ended(teller)[0]
        site.settings["PREFECT_API_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        with site.executing(textwrap.dedent(program), told) as process:
            assert site.ended(process)[0] == "/from the operator"


def test_an_area_has_an_absolute_path() -> None:
    with pytest.raises(ValidationError, match="'data' is not an absolute path"):
        StorageAreaBlock(path=Path("data"))
