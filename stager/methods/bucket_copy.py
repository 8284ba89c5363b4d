"""The steps of `s3_copy` with a user's bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from stager import engine
from stager.checksums import ADLER32, SHA256
from stager.engine.source import opened
from stager.errors import DestinationDiffers, KeyNotTaken, StagingError, UnforeseenError, printable
from stager.methods.bucket_comparison import difference, fingerprint_at, objects_at
from stager.methods.bucket_journal import Journal, sweep
from stager.methods.bucket_manifest import MANIFEST
from stager.methods.bucket_path import BucketPath, check_name
from stager.methods.bucket_publication import publish
from stager.methods.bucket_removal import discard, remove_delivered
from stager.methods.bucket_staged import BucketStaged
from stager.methods.bucket_transfer import bring
from stager.methods.conflict import last_fingerprint, settle
from stager.methods.method import Item, LastCopy, LivingAmong, OnWait
from stager.methods.product_files import product_files
from stager.methods.product_sums import manifest_checksum, require, require_unchanged
from stager.methods.s3_copy import S3Copy
from stager.paths import Place
from stager.peers.s3.abilities import abilities_of
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.locks import retain
from stager.peers.s3.names import check_key, same_when_composed
from stager.peers.s3.objects import StoredObject
from stager.vocabulary import ManifestEntry, OnConflict, Verify

# Characters of a store's reasons that are kept.
REASON_CHARACTERS = 1000


class BucketCopy(S3Copy):
    """Brings items to a bucket.

    Parameters
    ----------
    retention_days
        For how long what was delivered cannot be replaced or deleted; 0 for no retention.
    """

    def __init__(self, bucket: Bucket, *, retention_days: float = 0) -> None:
        self.bucket = bucket
        self._retention_days = retention_days

    def reach(self, places: Iterable[Place], *, on_wait: OnWait, check: Callable[[], None]) -> None:
        """Do nothing: a store is not started."""

    def sweep(self, parent: Place, *, living: LivingAmong) -> int:
        """Remove what is on record in a folder as on its way, unless a living run has the lease."""
        return sweep(self.bucket, _in_bucket(parent), living=living)

    def check_source(self, item: Item) -> engine.Survey:
        """Survey the source by a walk, and refuse each name that makes no key."""
        place = _in_bucket(item.destination)
        found = engine.survey(item.source)
        engine.require_size(item.source.display, found, item.expected)
        with opened(item.source) as source:
            paths = [each.path for each in product_files(source)]
        for path in paths:
            check_name(f"{place.inside}{path}" if path else place.object_key)
        for key in (f"{place.inside}{MANIFEST}", Journal(self.bucket, place).longest_key):
            check_key(key)
        if twins := same_when_composed(paths):
            raise KeyNotTaken(twins[1], f"it looks the same as {printable(twins[0])!r}, another name")
        return found

    def check_duplicate(
        self,
        item: Item,
        survey: engine.Survey,
        *,
        on_file: Callable[[ManifestEntry], None],
        control: engine.Control,
    ) -> bool:
        """Compare by our own record, or else read the source and compare with the checksums that the bucket has."""
        place = _in_bucket(item.destination)
        there = objects_at(self.bucket, place)
        if not there:
            return False
        reads_back = item.verify is Verify.READ
        if not reads_back and fingerprint_at(there) == last_fingerprint(item, survey):
            return settle(item, difference=None)
        with opened(item.source) as source:
            found = difference(
                self.bucket,
                place,
                there,
                source,
                wanted=item.expected.checksum,
                reads_back=reads_back,
                on_file=on_file,
                control=control,
            )
            require_unchanged(source, survey)
        return settle(item, difference=found)

    def transfer(
        self,
        item: Item,
        survey: engine.Survey,
        *,
        known: Iterable[ManifestEntry] | None,  # noqa: ARG002 - all of it is sent
        on_file: Callable[[ManifestEntry], None],
        control: engine.Control,
    ) -> BucketStaged:
        """Send the source, as far as nobody sees it."""
        place = _in_bucket(item.destination)
        previous = objects_at(self.bucket, place)
        if previous and item.on_conflict is not OnConflict.REPLACE:
            raise DestinationDiffers(place.display, "it changed since it was checked")
        staged = BucketStaged(place=place, survey=survey, journal=Journal(self.bucket, place), previous=previous)
        wanted = item.expected.checksum
        try:
            with opened(item.source) as source:
                bring(self.bucket, source, staged, wanted=wanted, on_file=on_file, control=control)
                require_unchanged(source, survey)
                for file in staged.files.values():
                    require(source.display, wanted, file.checksums)
            control.finish()
        except BaseException:
            self.discard(staged)
            raise
        return staged

    def set_read_only(self, item: Item, staged: BucketStaged) -> None:  # noqa: ARG002 - modes are of files
        """Tell why what is published will be left writable, if it will: retention begins with an object."""
        staged.left_writable = self._why_writable()

    def _why_writable(self) -> str | None:
        if not self._retention_days:
            return "the operator has set no retention for the object store"
        return None if abilities_of(self.bucket).locks_objects else "the bucket has no object lock"

    def flush(self, staged: Iterable[BucketStaged]) -> None:
        """Do nothing: what a store has taken is its own to keep."""

    def publish(
        self, products: Mapping[int, tuple[Item, BucketStaged]], *, refuse: engine.Refuse
    ) -> dict[int, engine.Published | StagingError]:
        """Make objects of what was sent, and of a directory write the manifest last."""
        outcomes: dict[int, engine.Published | StagingError] = {}
        for number, (item, staged) in products.items():

            def confirm(number: int = number) -> None:
                if error := refuse([number]).get(number):
                    raise error

            try:
                outcomes[number] = self._publish(item, staged, confirm)
            except StagingError as error:
                outcomes[number] = error
        return outcomes

    def _publish(self, item: Item, staged: BucketStaged, confirm: Callable[[], None]) -> engine.Published:
        there = publish(self.bucket, item, staged, confirm=confirm)
        if staged.left_writable is None:
            staged.left_writable = self._retained(there.values())
        with suppress(StagingError):  # then a sweep does
            staged.journal.forget()
        files = staged.files
        return engine.Published(
            kind=staged.kind,
            size_bytes=sum(file.size_bytes for file in files.values()),
            file_count=len(files),
            checksum=files[""].checksums[SHA256].value if "" in files else _manifest_checksum(staged),
            checksum_algorithm=SHA256,
            fingerprint=fingerprint_at(there),
            left_writable=staged.left_writable,
            left_unverified=None if item.verify is Verify.READ else staged.left_unverified,
        )

    def _retained(self, objects: Iterable[StoredObject]) -> str | None:
        """Have objects retained, and return None; or why that was not possible."""
        until = datetime.now(UTC) + timedelta(days=self._retention_days)
        try:
            for one in objects:
                retain(self.bucket, one.key, until)
        except StagingError as error:
            return printable(error.message)[:REASON_CHARACTERS]
        return None

    def remove(
        self,
        item: Item,
        last: LastCopy,
        *,
        known: Iterable[ManifestEntry],  # noqa: ARG002 - the bucket lists what it has
        confirm: Callable[[], None],
    ) -> bool:
        """Remove what has the fingerprint of our record, of a directory the manifest first."""
        place = _in_bucket(item.destination)
        return remove_delivered(self.bucket, place, fingerprint=last.destination_fingerprint, confirm=confirm)

    def discard(self, staged: BucketStaged) -> None:
        """Remove what was not published, if the store answers; else the next run's sweep does."""
        with suppress(StagingError):
            discard(self.bucket, staged)


def _in_bucket(place: Place) -> BucketPath:
    if not isinstance(place, BucketPath):
        raise UnforeseenError(TypeError(f"{place.display} is in no bucket"))
    return place


def _manifest_checksum(staged: BucketStaged) -> str:
    return manifest_checksum(
        (path, file.checksums[ADLER32].value, file.size_bytes) for path, file in staged.files.items()
    )
