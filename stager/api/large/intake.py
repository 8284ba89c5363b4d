"""The intake of very many items, piece by piece: memory use stays constant, and nobody sees half a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import structlog
from pydantic import SecretStr

from stager.api.intake import Intake
from stager.api.large.distinct_destinations import DistinctDestinations
from stager.callers.area_checks import check_sources
from stager.callers.caller import Caller
from stager.errors import IdempotencyConflict, RequestArriving, TooManyItems
from stager.models import StagingItem, StagingTerms
from stager.records.cutting import Cutter, limits_of
from stager.records.requests import (
    BodyDigest,
    abandon_large_request,
    add_items,
    begin_large_request,
    request_of_key,
    submit_large_request,
)
from stager.records.tables import StagingRequestRow

logger = structlog.get_logger(__name__)

ItemPages = AsyncIterator[Sequence[StagingItem]]


class LargeIntake:
    """Records the items of one request.

    Parameters
    ----------
    intake
        Whose settings and records count, and who tells the dispatcher.
    caller
        Who asks: they may read each source.
    terms
        What is said of all items.
    origin, idempotency_key
        As in ``create_request``.
    retry_of
        The request whose items it does again, held to what that one was held to.
    secret
        As in ``Intake.record``.
    """

    def __init__(
        self,
        intake: Intake,
        caller: Caller,
        terms: StagingTerms,
        *,
        origin: str,
        idempotency_key: str | None = None,
        retry_of: StagingRequestRow | None = None,
        secret: SecretStr | None = None,
    ) -> None:
        self._settings, self._records, self._recorded = intake.settings, intake.records, intake.recorded
        self._caller = caller
        self._terms = terms
        self._origin = origin
        self._key = idempotency_key
        self._retry_of = retry_of
        self._is_bounded = caller.is_bounded(terms.source_area) or (retry_of is not None and retry_of.is_bounded)
        self._secret = intake.take_secret(terms.method, secret)
        self._digest = BodyDigest(terms)
        self._destinations = DistinctDestinations()
        self._cutter = Cutter(limits_of(self._settings))

    async def take(self, pages: ItemPages) -> StagingRequestRow:
        """Record all items and return the request, or the earlier one with the same idempotency key and items.

        Raises
        ------
        NotAllowed, TooManyItems, SharedDestination, NestedDestination
            Nothing was recorded.
        IdempotencyConflict, RequestArriving
            The key is another request's, or one's that arrives just now.
        """
        if self._key and (known := await self._records.ask(request_of_key, self._terms.username, self._key)):
            return await self._compare(known, pages)
        request_id = await self._records.ask(
            begin_large_request,
            self._terms,
            origin=self._origin,
            idempotency_key=self._key,
            retry_of=self._retry_of.id if self._retry_of else None,
            is_bounded=self._is_bounded,
            secret=self._secret,
        )
        structlog.contextvars.bind_contextvars(staging_request=request_id)
        try:
            row = await self._fill(request_id, pages)
        except BaseException:  # a caller who hangs up cancels us
            await asyncio.shield(self._records.ask(abandon_large_request, request_id))
            raise
        logger.info("Request recorded", items=row.item_count)
        self._recorded.set()
        return row

    async def _fill(self, request_id: str, pages: ItemPages) -> StagingRequestRow:
        async for items in self._checked(pages):
            start = len(self._destinations) - len(items)
            await self._records.ask(add_items, request_id, items, start=start)
        await asyncio.to_thread(self._destinations.check)
        count = len(self._destinations)
        digest, pieces = str(self._digest), self._cutter.pieces()
        return await self._records.ask(submit_large_request, request_id, item_count=count, digest=digest, pieces=pieces)

    async def _compare(self, known: StagingRequestRow, pages: ItemPages) -> StagingRequestRow:
        if known.is_arriving:
            raise RequestArriving(self._key or "")
        async for _ in self._checked(pages):
            pass
        if (str(self._digest), self._secret is not None) != (known.body_digest, known.has_secret):
            raise IdempotencyConflict(self._key or "")
        return known

    async def _checked(self, pages: ItemPages) -> ItemPages:
        limit = self._settings.max_items
        async for items in pages:
            await check_sources(self._caller, self._terms.source_area, [item.read_at for item in items])
            for item in items:
                self._digest.add(item)
                self._destinations.add(item.destination)
            self._cutter.add(item.size_bytes for item in items)
            if len(self._destinations) > limit:
                raise TooManyItems(limit, "make several requests")
            yield items
