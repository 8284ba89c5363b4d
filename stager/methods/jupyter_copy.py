"""Copy a file or a directory to a user's notebook server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import ClassVar, Self

from pydantic import SecretStr

from stager import engine
from stager.checksums import SHA256
from stager.engine.source import opened
from stager.errors import (
    ConfigurationError,
    StagingError,
    UnforeseenError,
    printable,
)
from stager.methods.conflict import last_fingerprint, settle
from stager.methods.method import Item, LastCopy, LivingAmong, OnWait, Promise
from stager.methods.notebook_comparison import NotebookDiffers, difference, fingerprint_there
from stager.methods.notebook_leftovers import Leftovers, discard, sweep
from stager.methods.notebook_path import NotebookPath
from stager.methods.notebook_publication import give_final_name
from stager.methods.notebook_removal import remove_delivered
from stager.methods.notebook_servers import NotebookServers
from stager.methods.notebook_staged import (
    NotebookStaged,
    name_aside,
    require_untouched,
    temporary_name,
)
from stager.methods.notebook_transfer import bring
from stager.methods.product_files import below, product_files
from stager.methods.product_sums import require, require_unchanged
from stager.paths import Place
from stager.peers.jupyter import HubConnection, check_path, seal
from stager.vocabulary import ManifestEntry, OnConflict

# How often a server is asked to set the modes, before what it has is left writable.
SEAL_TRIES = 2
# Characters of a server's reasons that are kept.
REASON_CHARACTERS = 1000


class JupyterCopy:
    """The user gets a copy where their notebooks are."""

    name: ClassVar[str] = "jupyter_copy"
    place: ClassVar[type[Place]] = NotebookPath
    promise: ClassVar[Promise] = Promise(
        publishes_atomically=True,
        read_only_by="kernel",
        needs_account=False,
        verified_by="the SHA-256 that the notebook server or a kernel of it tells, and sizes",
        width=4,
        takes_secret=True,
    )

    def __init__(self, servers: NotebookServers | None = None) -> None:
        self._connected = servers
        self.leftovers = Leftovers()

    @contextmanager
    def connected(self, connection: HubConnection | None, secret: SecretStr | None) -> Iterator[Self]:
        """Give the method with the hub's servers."""
        if connection is None:
            raise ConfigurationError("jupyter_copy", "no notebook hub is set up")
        with connection.opened(secret) as hub:
            servers = NotebookServers(connection, hub)
            method = type(self)(servers)
            try:
                yield method
            finally:
                method.leftovers.discard_again(servers.running)
                servers.close()

    def reach(self, places: Iterable[Place], *, on_wait: OnWait, check: Callable[[], None]) -> None:
        """Start the notebook servers that are down, where the site wants that."""
        self._servers.reach(map(_at_notebook, places), on_wait=on_wait, check=check)

    def sweep(self, parent: Place, *, living: LivingAmong) -> int:
        """Remove what has temporary names, and put back what was not replaced, unless a living run has the lease."""
        folder = _at_notebook(parent)
        with self._servers.contents(folder) as contents:
            if folder.names and contents.look(folder.path) is None:
                return 0
            return sweep(contents, folder, living=living)

    def check_source(self, item: Item) -> engine.Survey:
        """Survey the source by a walk, and refuse each name that the server would refuse."""
        place = _at_notebook(item.destination)
        tops = [place.path, place.beside(temporary := temporary_name(place))]
        if item.on_conflict is OnConflict.REPLACE:
            tops.append(place.beside(name_aside(temporary, place.names[-1])))
        found = engine.survey(item.source)
        engine.require_size(item.source.display, found, item.expected)
        with opened(item.source) as source:
            for each in product_files(source):
                for top in tops:
                    check_path(below(top, each.path))
        return found

    def check_duplicate(
        self,
        item: Item,
        survey: engine.Survey,
        *,
        on_file: Callable[[ManifestEntry], None],
        control: engine.Control,
    ) -> bool:
        """Compare by our own record and what the server tells, or else read the source."""
        place = _at_notebook(item.destination)
        with self._servers.contents(place) as contents, opened(item.source) as source:
            if contents.look(place.path) is None:
                return False
            if (last := last_fingerprint(item, survey)) is not None:
                with suppress(NotebookDiffers):
                    if fingerprint_there(contents, place, source) == last:
                        return settle(item, difference=None)
            wanted = item.expected.checksum
            found = difference(contents, place, source, wanted=wanted, on_file=on_file, control=control)
            require_unchanged(source, survey)
            return settle(item, difference=found)

    def transfer(
        self,
        item: Item,
        survey: engine.Survey,
        *,
        known: Iterable[ManifestEntry] | None,  # noqa: ARG002 - every byte is read
        on_file: Callable[[ManifestEntry], None],
        control: engine.Control,
    ) -> NotebookStaged:
        """Upload beside the destination, each file verified by the checksum that the server tells."""
        place, wanted = _at_notebook(item.destination), item.expected.checksum
        with self._servers.contents(place) as contents, opened(item.source) as source:
            self.leftovers.discard_again(self._servers.running)
            previous = contents.look(place.path) if item.on_conflict is OnConflict.REPLACE else None
            staged = NotebookStaged(place=place, temporary=place.beside(temporary_name(place)), previous=previous)
            try:
                if place.parent.names:
                    contents.make_directories(place.parent.path, on_made=staged.made.append)
                algorithms = [wanted.algorithm] if wanted else []
                with self._servers.room(place).taken(contents, place, survey.size_bytes):
                    bring(contents, source, staged, algorithms=algorithms, on_file=on_file, control=control)
                require_unchanged(source, survey)
                for file in staged.files.values():
                    require(source.display, wanted, file.checksums)
                control.finish()
            except BaseException:
                self.leftovers.discard(contents, staged)
                raise
            return staged

    def set_read_only(self, item: Item, staged: NotebookStaged) -> None:
        """Set the modes by a kernel of the server's, where it gives one; else what is left writable is told."""
        with self._servers.contents(staged.place) as contents:
            modes = item.modes
            for _ in range(SEAL_TRIES):
                reason = seal(contents, staged.temporary, file_mode=modes.file, directory_mode=modes.directory)
                staged.left_writable = reason and printable(reason)[:REASON_CHARACTERS]
                if not staged.left_writable:
                    return
                contents.look(staged.temporary)  # where the server is down, this step is done again

    def flush(self, staged: Iterable[NotebookStaged]) -> None:
        """Do nothing: the server has written it."""

    def publish(
        self, products: Mapping[int, tuple[Item, NotebookStaged]], *, refuse: engine.Refuse
    ) -> dict[int, engine.Published | StagingError]:
        """Rename to the final names, which never overwrites: what is replaced gets a name aside before.

        For the moment between the two renames, nothing is at the destination.
        """
        outcomes: dict[int, engine.Published | StagingError] = {}
        for number, (_, staged) in products.items():
            try:
                outcomes[number] = self._publish(number, staged, refuse)
            except StagingError as error:
                outcomes[number] = error
        return outcomes

    def _publish(self, number: int, staged: NotebookStaged, refuse: engine.Refuse) -> engine.Published:
        place = staged.place
        with self._servers.contents(place) as contents:
            if contents.look(staged.temporary) is None and contents.look(place.path) is not None:
                require_untouched(contents, staged, at=place.path)  # it was renamed, and the answer lost
            else:
                require_untouched(contents, staged, at=staged.temporary)
                if error := refuse([number]).get(number):
                    raise error
                give_final_name(contents, staged)
            staged.is_published = True
            self.leftovers.discard(contents, staged)
        file = staged.files.get("")
        return engine.Published(
            kind=staged.kind,
            size_bytes=sum(file.size_bytes for file in staged.files.values()),
            file_count=len(staged.files),
            checksum=file.sha256 if file else staged.manifest_checksum,
            checksum_algorithm=SHA256,
            fingerprint=staged.fingerprint,
            left_writable=staged.left_writable,
            left_unverified=staged.left_unverified,
        )

    def remove(
        self, item: Item, last: LastCopy, *, known: Iterable[ManifestEntry], confirm: Callable[[], None]
    ) -> bool:
        """Remove what has the checksums of our record, by a rename first."""
        place = _at_notebook(item.destination)
        paths = [file.path for file in known]
        with self._servers.contents(place) as contents:
            return remove_delivered(
                contents, place, fingerprint=last.destination_fingerprint, paths=paths, confirm=confirm
            )

    def discard(self, staged: NotebookStaged) -> None:
        """Remove what was not published, if the server is still there; else the next run's sweep does."""
        if contents := self._servers.running(staged.place):
            discard(contents, staged)

    @property
    def _servers(self) -> NotebookServers:
        if self._connected is None:
            raise UnforeseenError(RuntimeError("jupyter_copy is not connected"))
        return self._connected


def _at_notebook(place: Place) -> NotebookPath:
    if not isinstance(place, NotebookPath):
        raise UnforeseenError(TypeError(f"{place.display} is at no notebook server"))
    return place
