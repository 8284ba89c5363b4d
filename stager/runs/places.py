"""Where a request's items go: into a storage area, to the user's notebook server, or into their bucket."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

from blocks.areas import resolve_destination
from blocks.hubs import resolve_hub
from blocks.object_store import resolve_store
from stager.area_paths import root_of, seen_by_users
from stager.methods.all_methods import METHODS
from stager.methods.bucket_path import BucketPath, bucket_path
from stager.methods.notebook_path import NotebookPath, notebook_path
from stager.methods.store_area import StoreArea
from stager.models import StorageArea, area_and_server, hub_named, store_named
from stager.paths import Location, Place, locate
from stager.peers.jupyter import HubConnection
from stager.records.tables import StagingRequestRow
from stager.runs.limited_transfers import ServerLimits


class NamedPlace(NamedTuple):
    """A place, and where its user finds it.

    Attributes
    ----------
    key
        What it is called where places are compared: its own key.
    seen_at
        The path by which the user's programs open it.
    link
        An address that opens it in the user's browser, if there is one.
    """

    place: Place
    key: str
    seen_at: str
    link: str | None


class Destination(Protocol):
    """What a request's destination area is."""

    @property
    def area(self) -> StorageArea | None:
        """The storage area, if it is one, in which the user gets a folder."""

    @property
    def connection(self) -> object:
        """What the method is connected to; None if it is nothing."""

    @property
    def limits(self) -> ServerLimits | None:
        """What its operator allows of transfers to it; None if that does not matter."""

    def named(self, path: str) -> NamedPlace:
        """Return what a path of the request names.

        Raises
        ------
        RequestError
            The path leads out of it, or it takes no such name.
        """


@dataclass(frozen=True)
class InStorageArea:
    """Destinations in a mounted storage area."""

    area: StorageArea
    username: str
    connection: None = None
    limits: None = None

    @cached_property
    def _roots(self) -> tuple[Path, Path, Path]:
        """The root as it is mounted here, where that really is, and where users see it; the same for all items."""
        root = root_of(self.area, self.username)
        return root, Path(os.path.realpath(root)), root_of(seen_by_users(self.area), self.username)

    def named(self, path: str) -> NamedPlace:
        """Return the location in the area, or in the user's folder there, and its path where users have it mounted."""
        root, real, seen = self._roots
        place = locate(root, path)
        return NamedPlace(place, key=place.below(real), seen_at=place.below(seen), link=None)


@dataclass(frozen=True)
class AtNotebookServer:
    """Destinations at the user's notebook server."""

    connection: HubConnection
    username: str
    server: str = ""
    area: None = None

    @property
    def limits(self) -> ServerLimits:
        """What the hub's operator allows."""
        hub = self.connection
        return ServerLimits(server=hub.title, transfers=hub.max_transfers, bytes_per_second=hub.max_bytes_per_second)

    def named(self, path: str) -> NamedPlace:
        """Return the path in the notebook server, below the folder that the operator gives data."""
        hub = self.connection
        name = hub.username_at_hub(self.username)
        folder = hub.folder_of(self.username)
        place = notebook_path(path, folder=folder, hub=hub.url, username=name, server=self.server)
        return NamedPlace(place, key=place.key, seen_at=f"{hub.root.rstrip('/')}/{place.path}", link=place.lab_url)


@dataclass(frozen=True)
class InBucket:
    """Destinations in what is the user's in an object store.

    Attributes
    ----------
    connection
        To the user's own, of the store that has the name ``store``.
    """

    connection: StoreArea
    store: str
    area: None = None

    @property
    def limits(self) -> ServerLimits:
        """What the store's operator allows, of all its buckets together."""
        own = self.connection
        server = f"The object store at {own.endpoint}"
        return ServerLimits(server=server, transfers=own.max_transfers, bytes_per_second=own.max_bytes_per_second)

    def named(self, path: str) -> NamedPlace:
        """Return the key of a path, and the address by which the user's programs have the object."""
        own = self.connection
        place = bucket_path(path, endpoint=own.endpoint, bucket=own.bucket, prefix=own.prefix, area=self.store)
        return NamedPlace(place, key=place.key, seen_at=place.address, link=None)


def destination_of(request: StagingRequestRow) -> Destination:
    """Return where a request's items go.

    Its destination area names a storage area, or for a method that copies to
    notebook servers or buckets, a hub or an object store: the area ``user`` is the user's own folder,
    their own server at the site's hub, or their own part of the site's store. After a slash stands which
    of the user's servers it is, where it is not the default one.

    Raises
    ------
    UnknownArea, AreaNotWritable
        There is no such storage area, or it is no destination.
    ConfigurationError
        There is no such hub or store.
    PrefectUnavailable
        It could not be asked.
    """
    method = METHODS.get(request.method)
    kind, area = method.place if method else Location, request.destination_area
    if kind is NotebookPath:
        _, server = area_and_server(area)
        return AtNotebookServer(resolve_hub(hub_named(area)), request.username, server)
    if kind is BucketPath:
        store = store_named(area)
        return InBucket(resolve_store(store).of_user(request.username), store)
    return InStorageArea(resolve_destination(area), request.username)
