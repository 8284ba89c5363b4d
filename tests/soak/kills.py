"""What is killed in a soak: every component, each again once it is up."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import psutil

from tests.soak.site import Site
from tests.soak.waiting import left_after_waiting

STARTER = "stager.mover.starter"
# They live for minutes where nobody kills them, so that their memory could grow.
LONG_LIVED = frozenset({"API service", "worker"})

Victims = list[psutil.Process]


class Killer:
    """Kills components by SIGKILL; what is killed and when is the seed's choice.

    The parts of `make up` are started again by its supervisor, runs by the
    service, and the database by this class: it has to live in the main thread,
    with which the database would end.
    """

    def __init__(self, site: Site, rng: random.Random) -> None:
        self._site, self._rng = site, rng
        self.killed: Counter[str] = Counter()
        self._finders: dict[str, Callable[[], Victims]] = {
            "Prefect's server": lambda: self._part("prefect-server", f"{site.stack.prefect}/api/health"),
            "worker": self._worker,
            "run": self._runs,
            "mover": self._movers,
            "API service": self._service,
            **({"database": self._database} if site.mariadb else {}),
        }

    def round(self, *, but: frozenset[str] = frozenset()) -> list[str]:
        """Return each component once, in some order."""
        names = [name for name in self._finders if name not in but]
        return self._rng.sample(names, len(names))

    def kill_one(self, of: list[str], *, until: float) -> str | None:
        """Wait until one of some components is up, kill and return the first that is; None when the time is over."""
        while time.monotonic() < until:
            for component in of:
                if victims := self._found(component):
                    self._kill(component, victims)
                    return component
            time.sleep(0.05)
        return None

    def _kill(self, component: str, victims: Victims) -> None:
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        self.killed[component] += 1
        if component == "database" and self._site.mariadb:
            self._site.mariadb.kill()
            time.sleep(2 * self._rng.random())
            self._site.mariadb.start()

    def wait_until_up(self) -> Iterator[str]:
        """Wait until every part answers; yield those that do not."""
        names = [name for name in self._finders if name not in {"run", "mover"}]
        if left_after_waiting(lambda: sum(not self._found(name) for name in names)):
            yield from (f"the {name} is not up again" for name in names if not self._found(name))

    def _found(self, component: str) -> Victims:
        with suppress(psutil.Error, OSError):  # it ends while it is looked at
            return self._finders[component]()
        return []

    def _part(self, name: str, health: str) -> Victims:
        part = self._site.parts().get(name)
        with suppress(httpx.HTTPError):
            if part and part.state == "RUNNING" and httpx.get(health, timeout=10).is_success:
                return [psutil.Process(part.pid)]
        return []

    def _service(self) -> Victims:
        """The service's two processes, or one of them."""
        found = self._part("http-service", f"{self._site.stack.http}/health/live")
        both = [*found, *(child for one in found for child in one.children())]
        return self._rng.choice([both, *([one] for one in both)]) if both else []

    def _worker(self) -> Victims:
        part = self._site.parts().get("worker")
        found = [psutil.Process(part.pid)] if part and part.state == "RUNNING" else []
        return found if any(_ready(one) for one in found) else []

    def _runs(self) -> Victims:
        """One of the processes that have a run: they have left the worker's folder."""
        found = ((worker, child) for worker in self._worker() for child in _ready(worker))
        return self._one_of([child for worker, child in found if child.cwd() != worker.cwd()])

    def _movers(self) -> Victims:
        starters = [one for worker in self._worker() for one in worker.children() if STARTER in " ".join(one.cmdline())]
        return self._one_of([mover for starter in starters for mover in starter.children()])

    def _one_of(self, found: Victims) -> Victims:
        return [self._rng.choice(found)] if found else []

    def _database(self) -> Victims:
        return [psutil.Process(self._site.mariadb.pid)] if self._site.mariadb else []


def _ready(worker: psutil.Process) -> Victims:
    """Return what a worker's fork server, which is a fork of it, has forked."""
    servers = [child for child in worker.children() if child.cmdline() == worker.cmdline()]
    return [child for server in servers for child in server.children()]
