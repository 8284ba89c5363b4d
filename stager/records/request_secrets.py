"""Secrets of requests: a user's own, kept sealed beside the request that it came with, until that ends.

There is no reference to a secret but its request's id, and no call that shows
one: it is kept with the request, handed out to what stages that, and forgotten
with its ending.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import SecretStr
from sqlalchemy import delete, exists, insert, select
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.errors import SecretGone, SecretInUse
from stager.records.database import Database, now
from stager.records.shards import shards_in
from stager.records.tables import OPEN, DestinationLease, RequestSecret, StagingRequestRow
from stager.user_secrets import SecretKeys

# Secrets that are looked for and deleted in one transaction.
SECRETS_AT_ONCE = 500


def keep_secrets(session: Session, sealed: Mapping[str, bytes]) -> None:
    """Keep sealed secrets by the ids of their requests, in the transaction that records these."""
    if sealed:
        rows = [{"request_id": request_id, "sealed": secret} for request_id, secret in sealed.items()]
        session.execute(insert(RequestSecret), rows)


def hand_out_secret(
    database: Database, request_id: str, *, holder: str, flow_run_id: str, keys: SecretKeys
) -> SecretStr:
    """Return the secret of a request to the process that stages it, and to no second one at a time.

    That process is the request's run, and holds a lease of one of its
    destinations: ask within the leases, as a batch does. Whoever had the
    secret before keeps everybody else from it for as long as a lease of theirs
    for this request lives, and no longer. So

    - the same process may ask again, for its next batch, or since an answer was lost;
    - of two processes of one run (two pods can be given the same one), one gets it;
    - the run that takes the request up after a crash gets it: the leases of
      the dead one are taken away then, or end by themselves;
    - a process that was taken for dead gets nothing any more, as it publishes nothing.

    Parameters
    ----------
    holder, flow_run_id
        The process, by its name as a holder of leases, and its run.
    keys
        The service's.

    Raises
    ------
    SecretGone
        It was deleted, or never given to this request: it is a retry of one whose secret is deleted.
    SecretInUse
        The request is another run's, or another process stages it.
    SecretKeyMissing, SecretUnreadable
        The service's keys are not those that sealed it.
    """

    def work(session: Session) -> bytes:
        request = session.get(StagingRequestRow, request_id, with_for_update=True)
        kept = session.get(RequestSecret, request_id)
        if request is None or kept is None or request.status.is_final:
            raise SecretGone(request_id)
        runs = {shard.flow_run_id for shard in shards_in(session, [request_id], locked=False)[request_id]}
        if flow_run_id not in runs or not _stages(session, request_id, holder):
            raise SecretInUse(request_id)
        if kept.holder not in (None, holder) and _stages(session, request_id, kept.holder):
            raise SecretInUse(request_id, is_passing=True)
        kept.holder = holder
        return kept.sealed

    return keys.unseal(database.write(work), request_id=request_id)


def forget_secret(session: Session, request_id: str) -> None:
    """Delete the secret of a request, in the transaction that ends it."""
    session.execute(delete(RequestSecret).where(col(RequestSecret.request_id) == request_id))


def forget_missed_secrets(database: Database) -> int:
    """Delete the secrets of requests that have ended all the same, and return their number.

    A version before this one, which runs beside it during an upgrade, or after
    a rollback, ends requests and leaves their secrets.
    """
    row, kept = StagingRequestRow, RequestSecret
    missed = select(col(kept.request_id)).join(row, col(row.id) == col(kept.request_id))
    missed = missed.where(col(row.status).not_in(OPEN)).limit(SECRETS_AT_ONCE)

    def look(session: Session) -> Sequence[str]:
        return session.scalars(missed).all()

    def work(session: Session) -> None:
        session.execute(delete(kept).where(col(kept.request_id).in_(found)))

    found = database.read(look)  # which keeps no writer waiting: there is hardly ever one
    if found:
        database.write(work)
    return len(found)


def _stages(session: Session, request_id: str, holder: str | None) -> bool:
    """Return whether a process holds a lease for a request that has not ended."""
    lease = DestinationLease
    mine = (col(lease.request_id) == request_id, col(lease.holder) == holder, col(lease.expires_at) > now(session))
    return bool(session.scalar(select(exists().where(*mine))))
