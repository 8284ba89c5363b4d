"""The rights with which a run touches files: the user's own, by a mover that is the user.

The run itself stays the service's account. Of root's it does what is named
here: it makes the user's own folder, opens it, and hands it over.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from stager.errors import StagingError, destination_error
from stager.identity import Identity
from stager.methods import ConnectedMethod, LivingAmong, OnWait
from stager.models import StorageArea
from stager.mover.mover import Mover
from stager.mover.start import start_mover
from stager.paths import Descriptor, Location, make_home, user_folder
from stager.runs.retry_schedule import RETRY_DELAYS_SECONDS
from stager.runs.sender import Sender
from stager.settings import get_settings

logger = logging.getLogger(__name__)


class ActingUser:
    """A user's folders and mover, which is started when it is first needed, and again if it was lost."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        # Only root can become another user; any other process stays what it is.
        self._account = identity if os.geteuid() == 0 and identity.uid != 0 else None
        self._roots: dict[Path, Descriptor] = {}
        self._linked_from: set[Path] = set()
        self._mover: Mover | None = None

    def enter(self, *, source: StorageArea, destination: StorageArea | None) -> None:
        """Open the user's folders in both areas, and make them if they are missing.

        Parameters
        ----------
        destination
            None where the user has no folder there.

        Raises
        ------
        UserFolderMissing
            There is none in an area, and its storage lets nobody make one.
        DestinationError, StorageFault
            The area is not there, or what has the folder's name is none. What
            may pass was tried again first, as a step is.
        """
        self._linked_from.add(source.path)
        for area in filter(None, (source, destination)):
            root = user_folder(area.path, self.identity.username)
            if area.per_user and root not in self._roots:
                self._roots[root] = self._home(area.path)

    def _home(self, area: Path) -> Descriptor:
        """Open the user's folder in an area; an error that may pass is retried, as in a step."""
        for delay in RETRY_DELAYS_SECONDS:
            try:
                return self._made(area)
            except StagingError as error:
                if not error.retryable:
                    raise
                logger.warning("%s; will retry in %.0f s", error.message, delay)
                time.sleep(delay)
        return self._made(area)

    def _made(self, area: Path) -> Descriptor:
        uid, gid = (self._account.uid, self._account.gid) if self._account else (-1, -1)
        try:
            return make_home(area, self.identity.username, uid=uid, gid=gid, mode=get_settings().folder_mode)
        except OSError as error:
            raise destination_error(error, str(user_folder(area, self.identity.username))) from error

    def mover(self) -> Mover:
        """Return the user's mover.

        Raises
        ------
        MoverNotStarted
            There can be none.
        """
        if self._mover is None or self._mover.is_lost:
            self._mover = start_mover(
                self.identity.username,
                self._account,
                roots=self._roots,
                linked_from=frozenset(self._linked_from),
                silence=get_settings().mover_silence,
            )
        return self._mover

    def worker(
        self, method: ConnectedMethod, *, living: LivingAmong, on_wait: OnWait = lambda _: None
    ) -> Mover | Sender:
        """Return who does a method's steps: in mounted folders the mover, else a sender, whose sources the mover opens.

        Raises
        ------
        MoverNotStarted
            There can be no mover.
        """
        mover = self.mover()
        if method.place is Location:
            return mover
        return Sender(method, mover, self._roots, living=living, on_wait=on_wait)

    def close(self) -> None:
        """Let the mover end."""
        if self._mover is not None:
            self._mover.close()
