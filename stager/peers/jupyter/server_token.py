"""A token for one notebook server, which lasts for as long as it is used."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr

from stager.errors import PeerError


@dataclass(frozen=True, kw_only=True)
class MadeToken:
    """A token that a hub has made, and for how many seconds it counts."""

    token_id: str
    token: SecretStr
    seconds: float


class ServerToken(SecretStr):
    """A token for one notebook server; when half of its time is over, another is made in its stead.

    Threads may share it.

    Parameters
    ----------
    make
        Has the hub make one.

    Attributes
    ----------
    ids
        Of all that were made: one that was replaced may still be used by another thread.
    """

    def __init__(self, make: Callable[[], MadeToken]) -> None:
        self.ids: list[str] = []
        self._make = make
        self._renewing = threading.Lock()
        self._token, self._renew_at, self._ends_at = "", 0.0, 0.0
        self._renew()
        super().__init__(self._token)

    def get_secret_value(self) -> str:
        """Return the token that counts now.

        Raises
        ------
        PeerError
            Its time is over, and the hub makes no other.
        """
        with self._renewing:
            moment = time.monotonic()
            if moment > self._renew_at:
                try:
                    self._renew()
                except PeerError:
                    if moment > self._ends_at:
                        raise
                    self._renew_at = (moment + self._ends_at) / 2
            return self._token

    def _renew(self) -> None:
        moment = time.monotonic()
        made = self._make()
        self.ids.append(made.token_id)
        self._token = made.token.get_secret_value()
        self._renew_at, self._ends_at = moment + made.seconds / 2, moment + made.seconds
