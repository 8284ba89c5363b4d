"""Copy a file or a directory to a user's notebook server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import ClassVar, Self

from pydantic import SecretStr

from stager import engine
from stager.checksums import SHA256
from stager.engine.source import Source, opened
from stager.engine.survey import survey_opened
from stager.errors import (
    ConfigurationError,
    DestinationNotWritable,
    PeerRefused,
    SourceChanged,
    StagingError,
    UnforeseenError,
)
from stager.methods.conflict import settle
from stager.methods.method import IsLiving, Item, Promise
from stager.methods.notebook_comparison import NotebookDiffers, difference, fingerprint_there, require
from stager.methods.notebook_path import NotebookPath
from stager.methods.notebook_publication import give_final_name, put_back
from stager.methods.notebook_servers import NotebookServers
from stager.methods.notebook_staged import (
    LEFTOVER,
    NotebookStaged,
    bring,
    discard,
    name_aside,
    remove,
    require_untouched,
    temporary_name,
)
from stager.methods.product_files import product_files
from stager.paths import Place
from stager.peers.jupyter import Contents, HubConnection, check_path, seal
from stager.vocabulary import ManifestEntry, OnConflict


class JupyterCopy:
    """The user gets a copy where their notebooks are."""

    name: ClassVar[str] = "jupyter_copy"
    place: ClassVar[type[Place]] = NotebookPath
    promise: ClassVar[Promise] = Promise(
        publishes_atomically=True,
        read_only_by="kernel",
        needs_account=False,
        verified_by="the SHA-256 that the notebook server tells, and sizes",
        width=4,
    )

    def __init__(self, servers: NotebookServers | None = None) -> None:
        self._connected = servers

    @contextmanager
    def connected(self, connection: HubConnection | None, secret: SecretStr | None) -> Iterator[Self]:
        """Give the method with the hub's servers; each is started when it is first needed."""
        if connection is None:
            raise ConfigurationError("jupyter_copy", "no notebook hub is set up")
        with connection.opened(secret) as hub:
            servers = NotebookServers(connection, hub)
            try:
                yield type(self)(servers)
            finally:
                servers.close()

    def sweep(self, parent: Place, *, is_living: IsLiving) -> int:
        """Remove temporary names for destinations that no living run has a lease on."""
        folder = _at_notebook(parent)
        with self._servers.contents(folder) as contents:
            if folder.names and contents.look(folder.path) is None:
                return 0
            found = [LEFTOVER.fullmatch(entry.name) for entry in contents.list(folder.path)]
            dead = ["/".join((*folder.names, one[0])) for one in found if one and not is_living(one["digits"])]
            return sum(_removed(contents, path) for path in dead)

    def check_source(self, item: Item) -> engine.Survey:
        """Survey the source by a walk, and refuse each name that the server would refuse."""
        place = _at_notebook(item.destination)
        tops = place.path, place.beside(temporary_name(place))
        found = engine.survey(item.source)
        engine.require_size(item.source.display, found, item.expected)
        with opened(item.source) as source:
            for each in product_files(source):
                for top in tops:
                    check_path(f"{top}/{each.path}" if each.path else top)
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
            put_back(contents, place)
            if contents.look(place.path) is None:
                return False
            last, wanted = item.last_copy, item.expected.checksum
            if last and last.source_fingerprint == survey.fingerprint and wanted in (None, last.checksum):
                with suppress(NotebookDiffers):
                    if fingerprint_there(contents, place, source) == last.destination_fingerprint:
                        return settle(item, difference=None)
            found = difference(contents, place, source, wanted=wanted, on_file=on_file, control=control)
            _require_unchanged(source, survey)
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
            previous = contents.look(place.path) if item.on_conflict is OnConflict.REPLACE else None
            staged = NotebookStaged(place=place, temporary=place.beside(temporary_name(place)), previous=previous)
            try:
                if place.parent.names:
                    contents.make_directories(place.parent.path, on_made=staged.made.append)
                algorithms = [wanted.algorithm] if wanted else []
                bring(contents, source, staged, algorithms=algorithms, on_file=on_file, control=control)
                _require_unchanged(source, survey)
                for file in staged.files.values():
                    require(source.display, wanted, file.checksums)
                control.finish()
            except BaseException:
                discard(contents, staged)
                raise
            return staged

    def set_read_only(self, item: Item, staged: NotebookStaged) -> None:
        """Set the modes by a kernel of the server's, where it gives one; else what is left writable is told."""
        with self._servers.contents(staged.place) as contents:
            modes = item.modes
            staged.left_writable = seal(
                contents, staged.temporary, file_mode=modes.file, directory_mode=modes.directory
            )
            if staged.left_writable:
                contents.look(staged.temporary)  # a server that is down is started, and asked again

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
            staged.made.clear()
            if staged.previous is not None:
                with suppress(StagingError):
                    remove(contents, place.beside(name_aside(place)))
        file = staged.files.get("")
        return engine.Published(
            kind=staged.kind,
            size_bytes=sum(file.size_bytes for file in staged.files.values()),
            file_count=len(staged.files),
            checksum=file.sha256 if file else staged.manifest_checksum,
            checksum_algorithm=SHA256,
            fingerprint=staged.fingerprint,
            left_writable=staged.left_writable,
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


def _removed(contents: Contents, path: str) -> bool:
    try:
        remove(contents, path)
    except (DestinationNotWritable, PeerRefused):  # somebody else's, or a kernel would be needed: it stays
        return False
    return True


def _require_unchanged(source: Source, survey: engine.Survey) -> None:
    if survey_opened(source).fingerprint != survey.fingerprint:
        raise SourceChanged(source.display, "it is not what it was when it was checked")
