"""The retry of a request by a new one, of the items that failed: what has ended is never opened again."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import SecretStr

from stager.api.intake import Intake
from stager.api.large.intake import ItemPages, LargeIntake
from stager.callers.caller import Caller
from stager.callers.quota import check_open_requests
from stager.errors import DownloadNotRetried, NothingToRetry, RequestNotEnded, SecretGone
from stager.models import Status
from stager.records.database import AsyncDatabase
from stager.records.downloads import DIRECT_DOWNLOAD
from stager.records.items import files_of
from stager.records.requests import expansions_among, item_again, terms_again
from stager.records.tables import StagingRequestRow

ITEMS_AT_ONCE = 1000


async def retry(
    intake: Intake,
    caller: Caller,
    row: StagingRequestRow,
    *,
    statuses: Collection[Status],
    idempotency_key: str | None,
    secret: SecretStr | None = None,
) -> StagingRequestRow:
    """Record a new request of the items of another that ended with certain statuses, and return it.

    Its deadline is none: the old one's has passed, or was for the old one.

    Raises
    ------
    NotAllowed
        The caller may not ask for that any more.
    DownloadNotRetried, RequestNotEnded, NothingToRetry
        It is a download, it still goes on, or no item of it ended so.
    SecretGone
        It had a secret, which its ending deleted, and none is given.
    """
    if row.method == DIRECT_DOWNLOAD:
        raise DownloadNotRetried(row.id)
    if not row.status.is_final:
        raise RequestNotEnded(row.id, row.status)
    if row.has_secret and secret is None:
        raise SecretGone(row.id)
    await intake.check_terms(caller, row)
    records, limit = intake.records, intake.settings.max_open_requests
    await check_open_requests(records, row.username, limit=limit, idempotency_key=idempotency_key)
    if not await records.ask(files_of, row.id, limit=1, statuses=statuses):
        raise NothingToRetry(row.id)
    again = LargeIntake(
        intake,
        caller,
        terms_again(row),
        origin="retry",
        idempotency_key=idempotency_key,
        retry_of=row,
        secret=secret,
    )
    return await again.take(_pages(records, row.id, statuses=statuses))


async def _pages(records: AsyncDatabase, request_id: str, *, statuses: Collection[Status]) -> ItemPages:
    position = None
    expanded = await records.ask(expansions_among, request_id, statuses=statuses)
    while files := await records.ask(files_of, request_id, after=position, limit=ITEMS_AT_ONCE, statuses=statuses):
        position = files[-1].position
        # What is expanded again becomes the same items again.
        if again := [item_again(file) for file in files if file.expanded_from not in expanded]:
            yield again
