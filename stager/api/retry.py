"""What failed of a request is done again by a new one: what has ended is never opened again."""

from __future__ import annotations

from collections.abc import Collection

from stager.api.acceptance import check_terms
from stager.api.large.intake import Arrival, Pages
from stager.callers.caller import Caller
from stager.callers.quota import check_open_requests
from stager.errors import DownloadNotRetried, NothingToRetry, RequestNotEnded
from stager.http.door import Door
from stager.models import Status
from stager.records import DIRECT_DOWNLOAD, StagingRequestRow, files_of, item_again, terms_again

PAGE = 1000


async def retry(
    door: Door, caller: Caller, row: StagingRequestRow, *, statuses: Collection[Status], idempotency_key: str | None
) -> StagingRequestRow:
    """Return the record of a new request of the items of another that ended so.

    Its deadline is none: the old one's has passed, or was for the old one.

    Raises
    ------
    NotAllowed
        The caller may not ask for that any more.
    DownloadNotRetried, RequestNotEnded, NothingToRetry
        It is a download, it still goes on, or no item of it ended so.
    """
    if row.method == DIRECT_DOWNLOAD:
        raise DownloadNotRetried(row.id)
    if not row.status.is_final:
        raise RequestNotEnded(row.id, row.status)
    await check_terms(door, caller, row)
    await check_open_requests(door, row.username, idempotency_key=idempotency_key)
    if not await door.ask(files_of, row.id, limit=1, statuses=statuses):
        raise NothingToRetry(row.id)
    arrival = Arrival(door, caller, terms_again(row), origin="retry", idempotency_key=idempotency_key, retry_of=row)
    return await arrival.take(_pages(door, row.id, statuses=statuses))


async def _pages(door: Door, request_id: str, *, statuses: Collection[Status]) -> Pages:
    position = None
    while files := await door.ask(files_of, request_id, after=position, limit=PAGE, statuses=statuses):
        position = files[-1].position
        yield [item_again(file) for file in files]
