"""Small files of a product on their way to a notebook server as one file, which a kernel lays out there."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from stager.checksums import ChecksumAlgorithm
from stager.errors import SourceChanged, StagingError
from stager.methods.product_files import ProductFile
from stager.paths import Descriptor
from stager.peers.jupyter import Contents, OpenSource, Uploaded, lay_out, sent_as, upload, verified

# A file of no more bytes goes in a bundle: it takes less time than the calls for a file of its own.
MAX_BUNDLED_BYTES = 1 << 20
# What is in one at most, and in memory: one piece of what is sent, and what a kernel tells in one message.
_BUNDLE_BYTES = 4 << 20
_BUNDLE_FILES = 1000


class Bundle:
    """Files whose contents are one after the other in a file in memory.

    Parameters
    ----------
    path
        Its own temporary path at the server.
    top
        Where the files' paths begin there.
    algorithms
        Of checksums that are taken besides the SHA-256 and the Adler-32.
    """

    def __init__(self, path: str, top: str, algorithms: Sequence[ChecksumAlgorithm]) -> None:
        self._path = path
        self._top = top
        self._algorithms = algorithms
        self._content = Descriptor(os.memfd_create("bundle"))
        self._size_bytes = 0
        self._files: dict[str, Uploaded] = {}

    def has_room_for(self, each: ProductFile) -> bool:
        """Return whether a file may be added."""
        fits = self._size_bytes + each.status.st_size <= _BUNDLE_BYTES
        return fits and len(self._files) < _BUNDLE_FILES

    def add(self, each: ProductFile, *, display: str) -> None:
        """Read a file, and add it.

        Raises
        ------
        SourceChanged, StorageFault
            It changes meanwhile, or cannot be read.
        """
        source = OpenSource(each.content.fd, display, self._algorithms)
        if source.size_bytes != each.status.st_size:  # it was held against the room here
            raise SourceChanged(display, "its size is not what it was")
        with os.fdopen(os.dup(self._content.fd), "wb") as content:
            content.writelines(source.blocks(0, source.size_bytes))
        source.require_unchanged()
        self._size_bytes += source.size_bytes
        self._files[each.path] = sent_as(f"{self._top}/{each.path}", source)

    def brought(self, contents: Contents, on_bytes: Callable[[int], None]) -> dict[str, Uploaded]:
        """Bring the files, and return them, verified, by their paths in the product.

        Raises
        ------
        DestinationTampered
            One of them is not there what it was.
        StagingError
            As by `upload` and `lay_out`.
        """
        with self._content:
            try:
                upload(contents, self._content.fd, self._path, source_name="small files", on_bytes=on_bytes)
                sizes = [(path, file.size_bytes) for path, file in self._files.items()]
                told = lay_out(contents, self._path, self._top, sizes)
            finally:
                _remove(contents, self._path)
        files = zip(self._files.items(), told, strict=True)
        return {path: verified(file, entry) for (path, file), entry in files}


def _remove(contents: Contents, path: str) -> None:
    try:
        contents.delete(path)
    except StagingError:
        """The next run's sweep does."""
