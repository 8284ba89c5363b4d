"""The files and directories of a source, in the order of their paths, for a place that knows nothing else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace

from stager.engine.mapping import unread
from stager.engine.source import Source, refuse_special
from stager.engine.walk import refuse_too_deep
from stager.errors import UnsupportedFileType
from stager.paths import Descriptor

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFile:
    """A file or a directory of a product.

    Attributes
    ----------
    path
        In the product; that of the product itself is empty.
    content
        Open for as long as the next one is not asked for.
    """

    path: str
    content: Descriptor
    status: os.stat_result

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, else a regular file."""
        return stat.S_ISDIR(self.status.st_mode)

    def kept(self) -> ProductFile:
        """Return the same, whose content stays open until it is closed."""
        return replace(self, content=Descriptor(os.dup(self.content.fd)))


def below(top: str, path: str) -> str:
    """Return the path of what has a path in a product or folder; either may be empty."""
    return f"{top}/{path}" if top and path else top or path


def product_files(source: Source) -> Iterator[ProductFile]:
    """Yield a source, and if it is a directory, all that is in it; a directory comes before what is in it.

    Raises
    ------
    UnsupportedFileType
        Something is neither a file nor a directory: a symbolic link cannot be delivered, either.
    SourceChanged, SourceUnreadable, StorageFault, InvalidPath
        Something vanished, may not be read, or is too deep.
    """
    yield ProductFile(path="", content=source.content, status=source.status)
    if source.is_directory:
        yield from _in_directory(source.content, "", source.display)


def _in_directory(folder: Descriptor, path: str, display: str) -> Iterator[ProductFile]:
    refuse_too_deep(display, path)
    try:
        names = sorted(os.listdir(folder.fd))  # noqa: PTH208 - a descriptor has no path
    except OSError as error:
        raise unread(error, f"{display}/{path}") from error
    for name in names:
        whole = f"{display}/{path}{name}"
        try:
            status = folder.status(name)
            _refuse(status, whole)
            content = folder.opened(name, _READ)
        except OSError as error:
            raise unread(error, whole) from error
        with content:
            found = ProductFile(path=path + name, content=content, status=os.fstat(content.fd))
            yield found
            if found.is_directory:
                yield from _in_directory(content, f"{path}{name}/", display)


def _refuse(status: os.stat_result, path: str) -> None:
    refuse_special(status, path)
    if stat.S_ISLNK(status.st_mode):
        raise UnsupportedFileType(path, "a symbolic link, which cannot be made there")
