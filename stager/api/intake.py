"""The intake of requests, whichever call they come by: each is checked, then recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import structlog
from cachetools import TTLCache
from pydantic import SecretStr

from stager.callers.area_checks import check_destination, check_sources
from stager.callers.caller import Caller
from stager.dispatch.pools import check_pool
from stager.errors import InvalidMethod, NotReadBack, UnknownArea
from stager.http.offered_methods import offered_methods
from stager.identity import resolve
from stager.methods.all_methods import METHODS
from stager.methods.notebook_path import NotebookPath
from stager.models import StagingRequest, StagingTerms, area_and_server
from stager.records.cutting import limits_of
from stager.records.database import AsyncDatabase, GroupCommit
from stager.records.requests import ClientWish, NewRequest, create_request, create_requests, new_request
from stager.records.tables import StagingRequestRow
from stager.settings import Settings
from stager.user_secrets import SecretKeys, UserSecret

# A request of more items gets a transaction of its own, so that no other request waits for it.
FEW_ITEMS = 100
# How long a user who was found is not looked up again, in seconds, and how many such users are remembered.
USER_LASTS, MANY_USERS = 5.0, 10_000

logger = structlog.get_logger(__name__)


class Intake:
    """Checks requests and records them.

    Parameters
    ----------
    recorded
        Set when a request was recorded; the dispatcher waits for it.
    secret_keys
        What users' secrets are sealed with.
    """

    def __init__(
        self, settings: Settings, records: AsyncDatabase, *, recorded: asyncio.Event, secret_keys: SecretKeys
    ) -> None:
        self.settings, self.records, self.recorded = settings, records, recorded
        self._secret_keys = secret_keys
        # Small requests that come at the same moment are written down in one transaction.
        self._small: GroupCommit[NewRequest, StagingRequestRow] = GroupCommit(
            lambda requests: records.ask(create_requests, requests, most_open=settings.max_open_requests)
        )
        self._found: TTLCache[str, None] = TTLCache(MANY_USERS, USER_LASTS)

    async def check(
        self,
        caller: Caller,
        *,
        method: str,
        username: str,
        source_area: str,
        sources: Iterable[str],
        destination_area: str | None,
        more: frozenset[str] = frozenset(),
    ) -> None:
        """Check that the caller may make this request.

        Parameters
        ----------
        source_area, destination_area
            Where it is staged from and to; None for a download.
        sources
            Paths in the source area; none where they come later, and are asked about then (`LargeIntake`).
        more
            Methods that are no flows, and that the service serves itself.

        Raises
        ------
        InvalidMethod
            The method does not exist, or the operator does not allow it.
        NotAllowed
            The method, an area, a source or the user is not the caller's.
        AreaNotWritable
            Nothing is staged to that area.
        UnknownArea
            A server is named, and the method copies to none.
        InvalidUserName, UserDoesNotExist, SystemAccount
            Nobody here has that name, or no user.
        """
        structlog.contextvars.bind_contextvars(method=method, username=username)  # on every line of this call
        if method not in METHODS.keys() | more or method not in offered_methods(self.settings):
            raise InvalidMethod(method)
        caller.user(username)
        caller.check_method(method)
        await check_sources(caller, source_area, sources)
        if destination_area is not None:
            area, server = area_and_server(destination_area)
            if server and METHODS[method].place is not NotebookPath:
                raise UnknownArea(destination_area)
            await check_destination(caller, area)
        await self._check_user(username)

    async def check_terms(self, caller: Caller, terms: StagingTerms | StagingRequestRow) -> None:
        """Check that the caller may stage on these terms; raise as `check` and `check_pool` do, or NotReadBack."""
        check_pool(terms.pool, self.settings)
        if terms.verify and terms.method in METHODS and not METHODS[terms.method].promise.reads_back:
            raise NotReadBack(terms.method)
        await self.check(
            caller,
            method=terms.method,
            username=terms.username,
            source_area=terms.source_area,
            sources=[item.read_at for item in terms.items] if isinstance(terms, StagingRequest) else (),
            destination_area=terms.destination_area,
        )

    async def _check_user(self, username: str) -> None:
        """Check that the user exists; who existed a moment ago is taken to exist still, since the run checks again."""
        if username in self._found:
            return
        users_file, least_id = self.settings.users_file, self.settings.least_user_id
        await asyncio.to_thread(resolve, username, users_file=users_file, least_id=least_id)
        self._found[username] = None

    def take_secret(self, method: str, secret: SecretStr | None) -> UserSecret | None:
        """Return a secret that is to be kept with a request; one that its method does not use is dropped here.

        Raises
        ------
        InvalidSecret, SecretKeyMissing
            It cannot be one, or none is kept here.
        """
        found = METHODS.get(method)
        is_used = found is not None and found.promise.takes_secret
        return self._secret_keys.take(secret) if secret is not None and is_used else None

    async def record(
        self,
        caller: Caller,
        request: StagingRequest,
        *,
        origin: str,
        idempotency_key: str | None = None,
        wishes: Sequence[ClientWish] = (),
        secret: SecretStr | None = None,
    ) -> StagingRequestRow:
        """Record a request before Prefect is asked to run it, and return the record.

        Raises
        ------
        IdempotencyConflict
            The key came with another request before: a secret makes another one, whichever secret does not.
        InvalidSecret, SecretKeyMissing
            As ``take_secret`` does.
        TooManyRequests
            As many of the user's are open as the site allows.
        """
        is_bounded = caller.is_bounded(request.source_area)
        taken = self.take_secret(request.method, secret)
        if len(request.items) <= FEW_ITEMS:
            new = new_request(
                request,
                origin=origin,
                idempotency_key=idempotency_key,
                wishes=wishes,
                is_bounded=is_bounded,
                secret=taken,
                limits=limits_of(self.settings),
            )
            row = await self._small.ask(new)
        else:
            row = await self.records.ask(
                create_request,
                request,
                origin=origin,
                idempotency_key=idempotency_key,
                wishes=wishes,
                is_bounded=is_bounded,
                secret=taken,
                limits=limits_of(self.settings),
                most_open=self.settings.max_open_requests,
            )
        structlog.contextvars.bind_contextvars(staging_request=row.id)
        logger.info("Request recorded")
        self.recorded.set()
        return row
