"""A site whose calls to a hub and its servers go through a proxy, which can break them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from stager.errors import StagingError
from stager.methods import Item
from stager.peers.http import Calls
from stager.peers.jupyter import HubConnection
from tests.methods.killed_worker import STEPS_DONE
from tests.methods.staging_site import Site
from tests.patience import PATIENCE
from tests.peers.faulty_proxy import FaultyProxy, answered

# What a server without kernels says: one takes longer to start than all the rest.
NO_KERNEL = answered("200 OK", b'{"kernelspecs": {}}', "application/json")
FOREVER = 10**9


@dataclass(frozen=True, kw_only=True)
class BehindProxy:
    """A site whose calls go through a proxy, which can break them."""

    site: Site
    proxy: FaultyProxy
    connection: HubConnection
    calls: Calls

    def stage(self, item: Item) -> list[StagingError]:
        """Stage and sweep as a run does, and do what fails again while its error says that this may help.

        Returns
        -------
        list[StagingError]
            Those errors.
        """
        self.site.begin(item)
        errors: list[StagingError] = []
        for step in STEPS_DONE:
            errors += self._done_at_last(lambda step=step: self.site.do(step))  # type: ignore[misc]
            if step == "check duplicate":  # then the server runs
                errors += self._done_at_last(lambda: self.sweep(item))
        self.site.worker.end()
        return errors

    def sweep(self, item: Item) -> None:
        """Remove what dead runs left."""
        [swept] = self.site.worker.sweep("", [item.destination.parent])
        if isinstance(swept, StagingError):
            raise swept

    @staticmethod
    def _done_at_last(do: Callable[[], object]) -> list[StagingError]:
        errors: list[StagingError] = []
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                do()
            except StagingError as error:
                if not error.retryable:
                    raise
                errors.append(error)
                time.sleep(0.05)
            else:
                break
        return errors
