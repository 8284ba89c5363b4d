"""What a caller may see of an area: beneath which folder, and with whose rights it is read."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from stager.errors import InvalidUserName
from stager.identity import Identity, resolve
from stager.models import StorageArea
from stager.privileges import reading_as
from stager.service.areas import resolve_area

# Who reads where nobody says who asks: what everybody may read is theirs.
NOBODY = Identity(
    username="nobody",
    uid=65534,
    gid=65534,
    groups=(65534,),
    acting_as="nobody (uid 65534, gid 65534)",
    owns_files=False,
)


@dataclass(frozen=True)
class Access:
    """An area as a caller sees it.

    Parameters
    ----------
    inside
        The user's folder of the area, where each user has one.
    acting_as
        Who reads, in words.
    reader
        Whose rights it is read with; None for this process's own.
    """

    area: StorageArea
    inside: str | None
    acting_as: str
    reader: Identity | None = None

    def reading(self) -> AbstractContextManager[None]:
        """Give the calling thread the rights that the area is read with, while the body runs."""
        return reading_as(self.reader, roots=[self.area.path]) if self.reader else nullcontext()


def access_to(name: str, username: str | None, *, users_file: Path | None) -> Access:
    """Return an area as a user sees it; in a thread.

    Root reads with the user's rights, as a run of theirs does; whoever is not
    root with its own.

    Raises
    ------
    InvalidUserName, UserDoesNotExist, UnknownArea
        There is no such user or area, or the area asks for a user.
    """
    identity = NOBODY if username is None else resolve(username, users_file=users_file)
    area = resolve_area(name)
    if area.per_user and username is None:
        raise InvalidUserName("")
    inside = username if area.per_user else None
    if os.geteuid() != 0:
        return Access(area, inside, f"user {os.geteuid()}")
    if identity.uid == 0 or not _may_be(identity):
        return Access(area, inside, f"root for {identity.acting_as}")
    return Access(area, inside, identity.acting_as, identity)


@lru_cache(maxsize=1000)
def _may_be(identity: Identity) -> bool:
    """Tell whether this root may be somebody else: in some containers it may not."""
    try:
        with reading_as(identity):
            return True
    except PermissionError:
        return False
