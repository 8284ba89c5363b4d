"""The sweep of all folders in which a run may have died, also where no run stages any more."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from stager.errors import ConfigurationError, NotebookNotRunning, StagingError
from stager.methods import LivingAmong, StagingMethod
from stager.methods.all_methods import METHODS
from stager.models import Status
from stager.paths import Place
from stager.records.database import Database
from stager.records.items import files_of
from stager.records.requests import list_requests
from stager.records.tables import StagingRequestRow
from stager.runs.become_user import ActingUser
from stager.runs.destinations import LeaseHolder
from stager.runs.resolve import Resolver
from stager.settings import get_settings
from tasks.database import records_database

# The statuses of requests whose run may have died; completed requests left nothing.
UNSUCCESSFUL = (Status.FAILED, Status.CANCELLED)
# What keeps a sweep from a notebook server on any day.
NO_NEWS = (NotebookNotRunning, ConfigurationError)
# Items that are read from the records at a time.
ITEMS_AT_ONCE = 1000


@task(name="sweep", cache_policy=NO_CACHE, persist_result=False)
def sweep_folders(days: int) -> int:
    """Remove the leftovers of dead runs, but nothing of living ones, and return how many there were."""
    database = records_database()
    since = datetime.now(UTC) - timedelta(days=days)
    folders: dict[tuple[str, str, str], set[Place]] = defaultdict(set)
    connections: dict[tuple[str, str, str], object] = {}
    users: dict[str, ActingUser] = {}
    for request in _unsuccessful(database, since):
        try:
            resolver = Resolver(request)
            resolver.enter(users.setdefault(request.username, ActingUser(resolver.identity)))
            key = request.username, request.method, request.destination_area
            folders[key] |= _folders(database, request, resolver)
            connections[key] = resolver.destination.connection
        except StagingError as error:  # a user or an area that is no more, a storage that is away
            get_run_logger().warning("Could not sweep the folders of request %s: %s", request.id, error.message)
    writer = LeaseHolder(database=database, holder=f"sweep/{uuid.uuid4().hex[:8]}", lease=get_settings().lease)
    living = writer.written_by_others
    return sum(
        _swept(users[user], METHODS[method], places, connection=connections[user, method, area], living=living)
        for (user, method, area), places in folders.items()
    )


def _swept(
    acting: ActingUser, method: StagingMethod, folders: Collection[Place], *, connection: object, living: LivingAmong
) -> int:
    """Have a user's folders swept, and return how many leftovers were removed."""
    found: list[int | StagingError]
    try:
        with method.connected(connection, None) as connected:
            found = acting.worker(connected, living=living).sweep(method.name, list(folders))
    except StagingError as error:
        found = [error]
    finally:
        acting.close()
    # Where the service has no token, it has left nothing.
    errors = [one for one in found if isinstance(one, StagingError) and not isinstance(one, NO_NEWS)]
    for message in dict.fromkeys(error.message for error in errors):
        get_run_logger().warning("Could not sweep folders of %s: %s", acting.identity.username, message)
    return sum(one for one in found if isinstance(one, int))


def _unsuccessful(database: Database, since: datetime) -> Iterator[StagingRequestRow]:
    cursor = None
    while True:
        page = list_requests(database, statuses=UNSUCCESSFUL, since=since, cursor=cursor)
        # Where a user's own secret was used, the service's is not used after them.
        yield from (request for request in page.requests if request.method in METHODS and not request.has_secret)
        if (cursor := page.next_cursor) is None:
            break


def _folders(database: Database, request: StagingRequestRow, resolver: Resolver) -> set[Place]:
    position = None
    folders: set[Place] = set()
    while files := files_of(database, request.id, after=position, limit=ITEMS_AT_ONCE, statuses=UNSUCCESSFUL):
        position = files[-1].position
        folders |= resolver.folders(files)
    return folders
