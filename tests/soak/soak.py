"""The soak: mixed load while every component is killed again and again, and what must be so afterwards."""

from __future__ import annotations

import math
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sqlalchemy import func, select

from stager.records.tables import FILE, REQUEST
from tests.mariadb import is_installed
from tests.soak.checks import (
    check_files,
    check_gone,
    check_processes,
    check_records,
    check_sources,
    roles,
    sweep,
    wait_until_all_is_final,
)
from tests.soak.clients import Load
from tests.soak.kills import LONG_LIVED, Killer
from tests.soak.ledger import Ledger
from tests.soak.memory import GROWTH_MIB, held
from tests.soak.site import Site, running_site

WARM_UP_SECONDS = 10.0
# Between two kills, on average.
PAUSE_SECONDS = 5.0
FAULTS_OF_A_KIND = 5
# The part of the time in which everything is killed; then what is long-lived is not.
ALL_DIE = 2 / 3


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a soak has done and found."""

    seconds: float
    seed: int
    database: str
    ledger: Ledger
    killed: Counter[str]
    requests: dict[str, Counter[str]]
    items: Counter[str]
    errors: Counter[str]
    memory: dict[str, tuple[float, float, float]]
    # Of killed workers, beside those that are in use.
    temporary_folders: int
    faults: list[str]


def soak(*, seconds: float, seed: int, with_mariadb: bool | None = None, logs: Path | None = None) -> Report:
    """Load a stack and kill its components for some time, then look at what is there.

    Parameters
    ----------
    seed
        Chooses what is killed, and what the clients want; not how fast the machine is.
    logs
        Folder that the parts' logs are copied to.
    with_mariadb
        Whether the records are in MariaDB; by default where that is installed.
    """
    rng = random.Random(seed)
    with running_site(rng, with_mariadb=is_installed() if with_mariadb is None else with_mariadb) as site:
        _say(f"seed {seed}, {site.database}, in {site.stack.folder}")
        report = _soaked(site, rng, seconds=seconds, seed=seed)
        if logs:
            shutil.copytree(site.stack.closed / "logs", logs, dirs_exist_ok=True)
    return replace(report, faults=[*report.faults, *check_gone(site)])


def _soaked(site: Site, rng: random.Random, *, seconds: float, seed: int) -> Report:
    """Do so with a running stack."""
    ledger, killer, before_load = Ledger(), Killer(site, rng), roles(site)
    _warm_up(site, ledger, rng, killer)
    faults = [*wait_until_all_is_final(site)]
    before = held(site)
    most = _load_and_kill(site, ledger, rng, killer, seconds=seconds)
    faults += [*_checked(site, ledger, killer, before_load)]
    after = held(site)
    requests, items, errors = _by_status(site)
    return Report(
        seconds=seconds,
        seed=seed,
        database=site.database,
        ledger=ledger,
        killed=killer.killed,
        requests=requests,
        items=items,
        errors=errors,
        memory={name: (before[name], most.get(name, 0), after[name]) for name in after},
        temporary_folders=len([*site.temporary.iterdir()]),
        faults=[*ledger.faults, *faults, *_grown(before, after)],
    )


def _warm_up(site: Site, ledger: Ledger, rng: random.Random, killer: Killer) -> None:
    """Load, with an outage of the database: its connections' TLS contexts take tens of MiB, once, and keep them."""
    with Load(site, ledger, rng, phase="warm"):
        time.sleep(WARM_UP_SECONDS)
        if site.mariadb:
            killer.kill_one(["database"], until=math.inf)


def _load_and_kill(
    site: Site, ledger: Ledger, rng: random.Random, killer: Killer, *, seconds: float
) -> dict[str, float]:
    """Load and kill, and return the most that each part held meanwhile, in MiB."""
    began, most = time.monotonic(), held(site)
    left: list[str] = []
    with Load(site, ledger, rng, phase="soak"):
        while (elapsed := time.monotonic() - began) < seconds:
            spared = LONG_LIVED if elapsed > ALL_DIE * seconds else frozenset[str]()
            left = [one for one in left if one not in spared] or killer.round(but=spared)
            time.sleep(PAUSE_SECONDS * 2 * rng.random())
            if component := killer.kill_one(left, until=began + seconds):
                left.remove(component)
                _say(f"{time.monotonic() - began:6.1f} s: killed {component}, {len(ledger.accepted)} requests accepted")
            most = {name: max(most.get(name, 0), mib) for name, mib in held(site).items()}
        _say("the load ends")
    return most


def _checked(site: Site, ledger: Ledger, killer: Killer, before: Counter[str]) -> Iterator[str]:
    """Yield what is wrong, of each kind the first few: whatever is killed leaves thousands of something."""
    checks: dict[str, Callable[[], Iterator[str]]] = {
        "waiting until every part is up": killer.wait_until_up,
        "waiting until all is final": partial(wait_until_all_is_final, site),
        "sweeping": partial(sweep, site),
        "looking at the records": partial(check_records, site, ledger),
        "looking at the files": partial(check_files, site, ledger),
        "looking at the sources": partial(check_sources, site),
        "waiting until the processes are those of before": partial(check_processes, site, before),
    }
    for what, check in checks.items():
        _say(what)
        faults = [*check()]
        yield from faults[:FAULTS_OF_A_KIND]
        if len(faults) > FAULTS_OF_A_KIND:
            yield f"and {len(faults) - FAULTS_OF_A_KIND} more"


def _say(sentence: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {sentence}\n")
    sys.stdout.flush()


def _grown(before: dict[str, float], after: dict[str, float]) -> list[str]:
    return [
        f"the {name} holds {after[name]:.0f} MiB, {before[name]:.0f} after the warm-up"
        for name in LONG_LIVED
        if after[name] > before[name] + GROWTH_MIB
    ]


def _by_status(site: Site) -> tuple[dict[str, Counter[str]], Counter[str], Counter[str]]:
    """Return how requests ended, by what was asked for; how items did; and by which errors."""
    requests = select(REQUEST.c.method, REQUEST.c.status, func.count()).group_by(REQUEST.c.method, REQUEST.c.status)
    items = select(FILE.c.status, FILE.c.error_type, func.count()).group_by(FILE.c.status, FILE.c.error_type)
    by_method: dict[str, Counter[str]] = {}
    for method, status, count in site.records.read(lambda session: [*session.execute(requests).tuples()]):
        by_method.setdefault(method, Counter())[str(status)] += count
    by_status: Counter[str] = Counter()
    by_error: Counter[str] = Counter()
    for status, error, count in site.records.read(lambda session: [*session.execute(items).tuples()]):
        by_status[str(status)] += count
        if error:
            by_error[error] += count
    return by_method, by_status, by_error
