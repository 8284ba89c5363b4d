"""Leases on places of which one lies inside the other: a folder, and what somebody else brings into it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.records.database import chunks
from stager.records.database.columns import is_mysql, path_bytes
from stager.records.tables import DESTINATIONS, DestinationLease, StagingRequestRow

# Places asked for at once, and folders above them: SQLite takes a thousand conditions, and a path has many folders.
PLACES_AT_ONCE, FOLDERS_AT_ONCE = 250, 1000


def are_nested(one: str, other: str) -> bool:
    """Return whether two places are the same, or one lies inside the other."""
    return f"{one}/".startswith(f"{other}/") or other.startswith(f"{one}/")


def folders_above(place: str) -> Iterator[str]:
    """Yield the folders that an absolute path lies in, from the nearest; the root itself is none of them."""
    while place := place.rpartition("/")[0]:
        yield place


def nested_leases(
    session: Session, places: Collection[str], *, holder: str, request_id: str
) -> dict[str, list[DestinationLease]]:
    """Return leases of the user's other requests on what lies inside some places, or around them.

    They are held until the transaction's end. Another user's count for their
    very places alone: who names a folder of a shared area, which they may not
    even write to, keeps nobody from what lies in it.

    Of two transactions that have both written their leases before they ask,
    one waits for the other, or is run again: one at least sees the other's.

    Parameters
    ----------
    places
        Absolute paths.
    request_id
        The request that wants them.

    Returns
    -------
    dict of str to list of DestinationLease
        By the places that have any; those that have ended among them.
    """
    pieces = _pieces(sorted(places))
    leases = [lease for piece in pieces for lease in _around(session, *piece, holder=holder)]
    on = {lease.destination: lease for lease in _of_the_same_user(session, leases, request_id)}
    nested = {place: [on[folder] for folder in folders_above(place) if folder in on] for place in places}
    for lease in on.values():
        for folder in folders_above(lease.destination):
            if folder in nested:
                nested[folder].append(lease)
    return {place: found for place, found in nested.items() if found}


def _of_the_same_user(
    session: Session, leases: Sequence[DestinationLease], request_id: str
) -> Iterator[DestinationLease]:
    """Yield the leases of requests whose user is that of a request."""
    row = StagingRequestRow
    ids = {request_id, *(lease.request_id for lease in leases)} if leases else set()
    users = {
        known: username
        for some in chunks(sorted(ids))
        for known, username in session.execute(select(col(row.id), col(row.username)).where(col(row.id).in_(some)))
    }
    for lease in leases:
        if users.get(lease.request_id) == users[request_id]:
            yield lease


def _pieces(places: Sequence[str]) -> Iterator[tuple[list[str], set[str]]]:
    """Yield places with the folders above them, as many as a statement takes."""
    some, folders = list[str](), set[str]()
    for place in places:
        some.append(place)
        folders.update(folders_above(place))
        if len(some) >= PLACES_AT_ONCE or len(folders) >= FOLDERS_AT_ONCE:
            yield some, folders
            some, folders = [], set()
    if some:
        yield some, folders


def _around(session: Session, places: list[str], folders: set[str], *, holder: str) -> Sequence[DestinationLease]:
    """Return the leases of other holders in those folders' names, and inside the places."""
    lease = DestinationLease
    on_mysql = is_mysql(session.get_bind().dialect)
    inside = [edge for place in places for edge in (path_bytes(f"{place}/"), path_bytes(f"{place}0"))]
    values = (holder, *inside, *map(path_bytes, folders))
    question = _question(len(folders), len(places), on_mysql=on_mysql)
    keys = session.connection().exec_driver_sql(question, values).scalars().all()
    locked = select(lease).with_for_update().execution_options(populate_existing=True)
    asked = (locked.where(col(lease.destination_key).in_(some)) for some in chunks(keys))
    return [found for statement in asked for found in session.scalars(statement)]


def _question(folders: int, places: int, *, on_mysql: bool) -> str:
    """Return the question in the database's own words: SQLAlchemy takes longer over them than the database does.

    The byte after a slash is a zero's: what lies between the two lies inside.
    MariaDB would take the holders' index, and hold everybody's leases.
    """
    value, index, held = ("%s", f"FORCE INDEX ({DESTINATIONS})", "FOR UPDATE") if on_mysql else ("?", "", "")
    conditions = [f"destination > {value} AND destination < {value}"] * places
    conditions += [f"destination IN ({', '.join([value] * folders)})"] * bool(folders)
    where = f"holder <> {value} AND ({' OR '.join(conditions)})"
    return f"SELECT destination_key FROM {DestinationLease.__tablename__} {index} WHERE {where} {held}"  # noqa: S608 - names alone
