"""The contract of all staging methods: what each is given, and what it promises.

A method knows how one item gets to its place; when that happens, who waits
for it and where it is written down are others' business.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from stager.checksums import Checksum
from stager.engine import Control, Expected, Modes, Published, Refuse, Survey
from stager.errors import StagingError, UnforeseenError
from stager.paths import Location, Place
from stager.vocabulary import ManifestEntry, OnConflict, Verify

if TYPE_CHECKING:
    from pydantic import SecretStr  # which a mover has no use for

    from stager.records.events import Wait


@dataclass(frozen=True, kw_only=True)
class LastCopy:
    """Our record of the last delivery to a destination."""

    file_id: int
    source_fingerprint: str
    destination_fingerprint: str
    checksum: Checksum | None


@dataclass(frozen=True, kw_only=True)
class Item:
    """One file or directory to stage, its names resolved.

    Attributes
    ----------
    source_seen_at
        Where users see the root of the source's place.
    read_as
        Whose rights the source is read with: ``service`` where users cannot enter its area.
    verify
        How it is verified that it arrived, beyond what the method does anyway.
    """

    source: Location
    source_seen_at: Path
    read_as: Literal["user", "service"] = "user"
    destination: Place
    modes: Modes
    on_conflict: OnConflict
    expected: Expected
    last_copy: LastCopy | None
    verify: Verify | None = None


def mounted(place: Place) -> Location:
    """Return a place that is in a mounted folder; with any other, a method was given what is not its own."""
    if not isinstance(place, Location):
        raise UnforeseenError(TypeError(f"{place.display} is in no mounted folder"))
    return place


# What a method has transferred and not published yet: known to that method alone.
Staged = Any
# Returns those of the first `KEY_DIGITS` of destinations' keys where another living run writes.
LivingAmong = Callable[[Collection[str]], Collection[str]]
KEY_DIGITS = 16

# Tells what is waited for, or that nothing is any more.
OnWait = Callable[["Wait | None"], None]

ReadOnlyBy = Literal["mode", "retention", "kernel", "nothing"]


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What holds of all that a method delivers; places differ in what they can do.

    Attributes
    ----------
    publishes_atomically
        A product appears whole, at one moment. Else its manifest goes last.
    read_only_by
        What keeps it from being changed; ``nothing`` where the place has nothing for that, or it is not ours to set.
    needs_account
        The user must have an account where it goes, besides the one that reads the source.
    verified_by
        How it is known that the bytes arrived, in words.
    width
        Items of a batch that are under way at once.
    reads_back
        What arrived can be read back and compared, where a request asks for that.
    takes_secret
        A user may give a secret of their own for the other server with a request.
    """

    publishes_atomically: bool
    read_only_by: ReadOnlyBy
    needs_account: bool
    verified_by: str
    width: int = 1
    reads_back: bool = False
    takes_secret: bool = False


class StagingMethod(Protocol):
    """One way to bring an item to its destination, before it is known by which connection."""

    name: ClassVar[str]
    promise: ClassVar[Promise]
    place: ClassVar[type[Place]]

    def connected(self, connection: Any, secret: SecretStr | None) -> AbstractContextManager[ConnectedMethod]:  # noqa: ANN401 - the method's own
        """Give the method as it is used for a batch, with what it needs to reach its place.

        Parameters
        ----------
        connection
            How an operator has set up the other server, of the method's own type; None for a mounted folder.
        secret
            The user's own for that server, where they gave one: then it alone is used there.
        """


class ConnectedMethod(Protocol):
    """A method that brings items to their destinations, in four steps.

    Where ``place`` is a mounted folder, it works in a process that is the user. Else
    it works where the other server's secret is, which no user's process holds,
    and its sources are opened by one that is the user.

    The promises, which ``tests/methods`` holds every method to:

    - A step either does its work or raises a ``StagingError`` that names the
      path; after an error everything at the destination is as it was before.
    - Nothing is visible at the destination before it is published; what is
      published is whole and verified, and as atomic and read-only as the
      method's ``promise`` says. Where that is not atomic, nothing counts as
      delivered before its manifest is there.
    - ``set_read_only`` never changes the source: neither its bytes nor its
      mode, owner and times.
    - Each step may be repeated, and a staging that was killed at any moment
      may be done again from the first.
    - A path that leaves its area is never followed, however it is disguised.
    - A source that has another size or checksum than the request says is
      neither delivered nor taken for delivered.
    """

    name: ClassVar[str]
    promise: ClassVar[Promise]
    place: ClassVar[type[Place]]

    def reach(self, places: Iterable[Place], *, on_wait: OnWait, check: Callable[[], None]) -> None:
        """Have the servers of some places ready for the steps from the second on, which may take minutes.

        Parameters
        ----------
        check
            Called again and again meanwhile; what it raises ends the waiting.

        Raises
        ------
        StagingError
            One of them is not ready, and why.
        """

    def sweep(self, parent: Place, *, living: LivingAmong) -> int:
        """Remove what killed runs left in a folder of destinations, and return how much that was.

        What a living run works on is not touched; where the place has no
        locks that show it, ``living`` tells.
        """

    def check_source(self, item: Item) -> Survey:
        """Survey the source, and check that it can be staged.

        Raises
        ------
        SourceError
            Nothing is there, it cannot be read, is not data or, as far as
            that shows without reading it, not what the request says.
        PathOutsideArea
            The path leads out of the source area.
        """

    def check_duplicate(
        self, item: Item, survey: Survey, *, on_file: Callable[[ManifestEntry], None], control: Control
    ) -> bool:
        """Return whether the destination already is what would be delivered.

        Parameters
        ----------
        on_file
            Called with each file that was read and is the same, as far as the comparison comes.
        control
            Says when to stop.

        Raises
        ------
        SourceMismatch
            The source has another checksum than the request says. Only a
            method that copies may leave that to the transfer.
        DestinationExists
            Something is there and the request said to fail then.
        DestinationDiffers
            Something else is there and the request did not say to replace it.
        """

    def transfer(
        self,
        item: Item,
        survey: Survey,
        *,
        known: Iterable[ManifestEntry] | None,
        on_file: Callable[[ManifestEntry], None],
        control: Control,
    ) -> Staged:
        """Bring the data beside their destination, under a temporary name.

        Parameters
        ----------
        known
            Checksums of the source's files from an earlier delivery of the
            very same source, in the walk's order, or None.
        on_file
            Called with each file of the product, in the walk's order.
        control
            Takes progress, and says when to stop.

        Raises
        ------
        StagingError
            It could not be done; nothing is left behind.
        """

    def set_read_only(self, item: Item, staged: Staged) -> None:
        """Give what was transferred its read-only modes, under its temporary name still."""

    def flush(self, staged: Iterable[Staged]) -> None:
        """Make what was transferred durable: afterwards, a power cut loses nothing of it."""

    def publish(
        self, products: Mapping[int, tuple[Item, Staged]], *, refuse: Refuse
    ) -> dict[int, Published | StagingError]:
        """Give what was transferred its final name, each in one step; return what was published, or why it was not.

        ``refuse`` is called right before that, and tells whose destination is ours no more.
        """

    def remove(
        self, item: Item, last: LastCopy, *, known: Iterable[ManifestEntry], confirm: Callable[[], None]
    ) -> bool:
        """Remove what was delivered, if nobody has changed it: at one moment it has its name, at the next nothing has.

        It is the user who removes it, and who holds its lease. Repeatable: what one that was
        killed has left goes with the next `sweep`.

        Parameters
        ----------
        last
            Our record of the delivery.
        known
            The manifest of a directory, in the walk's order.
        confirm
            Called right before nothing has the name, as in `publish`.

        Returns
        -------
        bool
            Whether something was there.

        Raises
        ------
        DestinationDiffers
            It is not what was delivered, or cannot be known for that; it was not touched.
        DestinationError, StagingError
            It could not be removed.
        """

    def discard(self, staged: Staged) -> None:
        """Remove what was transferred and not published. Repeatable."""
