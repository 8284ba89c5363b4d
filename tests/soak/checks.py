"""What must be so when the load of a soak has ended: everything final and whole, and nothing else there."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
from sqlalchemy import Select, func, select

from stager.models import Status
from stager.records.items import files_of
from stager.records.tables import FILE, OPEN, REQUEST, DestinationLease
from tests.soak.ledger import Asked, Ledger
from tests.soak.site import Site, uid_of
from tests.soak.waiting import left_after_waiting

# What a kill explains: an item's mover was killed, at its work or as it started; three runs of a request were.
EXPLAINED = frozenset({"MoverLost", "MoverNotStarted", "RunLost"})
THERE = frozenset({Status.COMPLETED, Status.SKIPPED})
NOT_MANY = 20
ITEMS_AT_ONCE = 5000
FILE_MODE, WRITABLE = 0o400, 0o222


def open_work(site: Site) -> int:
    """Return how many requests and items have not ended."""
    tables = [select(func.count()).select_from(one).where(one.c.status.in_(OPEN)) for one in (REQUEST, FILE)]
    return sum(_count(site, query) for query in tables)


def wait_until_all_is_final(site: Site) -> Iterator[str]:
    """Wait until no request is open and no lease is held; yield what does not end."""
    leases = select(func.count()).select_from(DestinationLease)
    wanted = {"flow_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}}
    url = f"{site.stack.prefect}/api/flow_runs/count"
    counts: dict[str, Callable[[], int]] = {
        "requests and items are open": partial(open_work, site),
        "leases are held": partial(_count, site, leases),
        "runs go on, for Prefect": lambda: int(site.stack.client.post(url, json=wanted).json()),
    }
    for what, count in counts.items():
        if left := left_after_waiting(count):
            yield f"{left} {what}, and do not become less"


def _count(site: Site, query: Select[tuple[int]]) -> int:
    return site.records.read(lambda session: session.scalars(query).one())


def sweep(site: Site) -> Iterator[str]:
    """Remove what killed runs left, as is done every night; yield how that failed."""
    run = site.stack.run("sweep", {"days": 1})
    ended = site.stack.wait_for(run, "COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    if ended["type"] != "COMPLETED":
        yield f"the sweep ended as {ended['type']}: {ended['message']}"


def check_records(site: Site, ledger: Ledger) -> Iterator[str]:
    """Yield what is wrong with the records: each key has one request, and each item an ending that is explained."""
    query = select(REQUEST.c.id, REQUEST.c.idempotency_key).where(REQUEST.c.method != "direct_download")
    rows = dict(site.records.read(lambda session: [*session.execute(query).tuples()]))
    known = {asked.request_id: asked.key for asked in ledger.accepted}
    yield from (f"{key} was accepted as {one}, and is not on record" for one, key in known.items() if one not in rows)
    yield from (
        f"{one} of key {key} is on record, and nobody was told" for one, key in rows.items() if one not in known
    )
    errors = select(FILE.c.error_type, func.count(), func.min(FILE.c.error_reason)).group_by(FILE.c.error_type)
    for kind, count, reason in site.records.read(lambda session: [*session.execute(errors).tuples()]):
        if kind is not None and kind not in EXPLAINED:
            yield f"{count} items ended by {kind}, which no kill explains: {reason}"


def check_files(site: Site, ledger: Ledger) -> Iterator[str]:
    """Yield what is wrong with the users' areas: files that are missing, other than their source, or nobody's."""
    top = site.stack.folder / "user_areas"
    wanted = {
        top / asked.username / destination: (asked, source)
        for asked in ledger.accepted
        for destination, source in asked.items.items()
    }
    folders = {parent for path in wanted for parent in path.parents}
    there = {Path(folder) / name for folder, _, names in os.walk(top) for name in names}
    yield from (f"{path} is there, and nobody asked for it" for path in sorted(there - wanted.keys()))
    yield from (
        f"{Path(folder)} is a folder that nobody needs" for folder, *_ in os.walk(top) if Path(folder) not in folders
    )
    for path in there & wanted.keys():
        asked, source = wanted[path]
        yield from _check_file(path, asked, site.sources[source])
    yield from _check_promised(site, ledger, {str(path) for path in there}, str(top))


def _check_file(path: Path, asked: Asked, content: bytes) -> Iterator[str]:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or path.read_bytes() != content:
        yield f"{path} of {asked.request_id} is not its source"
    if status.st_mode & WRITABLE or stat.S_IMODE(status.st_mode) != FILE_MODE:
        yield f"{path} of {asked.request_id} has mode {stat.S_IMODE(status.st_mode):o}"
    if status.st_uid != uid_of(asked.username):
        yield f"{path} of {asked.request_id} belongs to {status.st_uid}"


def _check_promised(site: Site, ledger: Ledger, there: set[str], top: str) -> Iterator[str]:
    for asked in ledger.accepted:
        position, count = None, 0
        while files := files_of(site.records, asked.request_id, after=position, limit=ITEMS_AT_ONCE):
            position, count = files[-1].position, count + len(files)
            for file in files:
                path = f"{top}/{asked.username}/{file.relative_path}"
                if not file.status.is_final:
                    yield f"item {file.position} of {asked.request_id} is {file.status}"
                if file.status in THERE and path not in there:
                    yield f"{path} is {file.status}, and not there"
        if count != len(asked.items):
            yield f"{asked.request_id} has {count} items of {len(asked.items)}"


def check_sources(site: Site) -> Iterator[str]:
    """Yield what has become of the sources, of which nothing may become."""
    storage = site.stack.folder / "storage"
    there = {str(path.relative_to(storage)): path for path in storage.rglob("*") if not path.is_dir()}
    if there.keys() != site.sources.keys():
        yield f"sources came or went: {sorted(there.keys() ^ site.sources.keys())[:NOT_MANY]}"
    for name in there.keys() & site.sources.keys():
        if there[name].read_bytes() != site.sources[name]:
            yield f"the source {name} was changed"


def check_processes(site: Site, before: Counter[str]) -> Iterator[str]:
    """Wait until the processes are those that were there before the load; yield what is more or less."""
    left_after_waiting(lambda: _difference(roles(site), before).total())
    now = roles(site)
    yield from (f"{count} more of: {command}" for command, count in (now - before).items())
    yield from (f"{count} less of: {command}" for command, count in (before - now).items())


def _difference(now: Counter[str], before: Counter[str]) -> Counter[str]:
    return (now - before) + (before - now)


def roles(site: Site) -> Counter[str]:
    """Return how many processes of each command line the stack has, those included that nobody has waited for."""
    found: Counter[str] = Counter()
    for process in site.processes():
        with suppress(psutil.NoSuchProcess):
            found[_role(process)] += 1
    return found


def _role(process: psutil.Process) -> str:
    try:
        return re.sub(r"main\(\d+\)", "main", " ".join(process.cmdline()))  # of a descriptor, which differs
    except psutil.ZombieProcess:
        return "a process that has ended, and that nobody has waited for"


def check_gone(site: Site) -> Iterator[str]:
    """Wait until no process is left of all that were seen; yield those that outlive their stack."""
    left_after_waiting(lambda: sum(process.is_running() for process in site.seen))
    yield from (f"{process} outlives the stack" for process in site.seen if process.is_running())
