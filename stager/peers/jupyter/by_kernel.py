"""What the contents API cannot do, by a kernel of the notebook server.

It makes files read-only and removes such, takes their checksums piece by piece,
lays out many small files that came as one, and looks at a whole tree at once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from stager.errors import HomeFull, PeerError, PeerFault, StagingError
from stager.peers.jupyter.contents import HASH_RATE, Contents
from stager.peers.jupyter.entry import Entry
from stager.peers.jupyter.kernel import KERNEL_SECONDS, NotDoneByKernel
from stager.peers.jupyter.refusals import is_about_room

# A kernel reads a file piece by piece for its checksum; the server has it whole in its memory.
MAX_HASHED_BYTES = 64 << 20
_TOLD = re.compile(r"([0-9a-f]{64}) (\d{1,19}) (-?\d{1,20})", re.ASCII)
# Links are not followed, and what is in a directory is sealed before the directory is.
_CODE = """
def _staging_opened(path):
    import os
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)

def _staging_seal(top, file_mode, directory_mode):
    import os
    def seal(path, mode):
        opened = _staging_opened(path)
        try:
            os.fchmod(opened, mode)
        finally:
            os.close(opened)
    if not os.path.isdir(top):
        return seal(top, file_mode)
    for folder, _, files in os.walk(top, topdown=False):
        for name in files:
            seal(os.path.join(folder, name), file_mode)
        seal(folder, directory_mode)

def _staging_remove(top):
    import os, shutil
    if os.path.islink(top) or not os.path.isdir(top):
        return os.unlink(top)
    os.chmod(top, 0o700)
    for folder, folders, _ in os.walk(top):
        for name in folders:
            if not os.path.islink(os.path.join(folder, name)):
                os.chmod(os.path.join(folder, name), 0o700)
    shutil.rmtree(top)

def _staging_tell(path):
    import hashlib, os
    with open(_staging_opened(path), "rb") as file:
        os.fsync(file.fileno())
        status, whole = os.fstat(file.fileno()), hashlib.sha256()
        for piece in iter(lambda: file.read(1 << 20), b""):
            whole.update(piece)
    return "%s %d %d" % (whole.hexdigest(), status.st_size, status.st_mtime_ns)

def _staging_lay_out(bundle, top, files):
    import os
    with open(_staging_opened(bundle), "rb") as bundled:
        for path, size in files:
            path = os.path.join(top, path)
            made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)
            with open(made, "wb") as file:
                file.write(bundled.read(size))
    return ",".join(_staging_tell(os.path.join(top, path)) for path, _ in files)

def _staging_state(top):
    import hashlib, os
    lines = []
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders + [name for name in files if not name.startswith(".")]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            told = "" if os.path.isdir(path) else "%d %d" % (status.st_size, status.st_mtime_ns)
            lines.append("%s %s" % (os.path.relpath(path, top), told))
    return hashlib.sha256("\\n".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()
"""


def seal(contents: Contents, path: str, *, file_mode: int = 0o444, directory_mode: int = 0o555) -> str | None:
    """Make a file, or a directory with all that is in it, read-only, and return why not where that did not work.

    It is read-only once the server itself says that it cannot be written.

    Parameters
    ----------
    path
        As the contents API has it: kernels begin in the same folder.
    file_mode, directory_mode
        Permission bits.
    """
    try:
        contents.kernel.value_of(_CODE, f"_staging_seal({path!r}, {file_mode}, {directory_mode})")
        entry = contents.look(path)
    except NotDoneByKernel as reason:
        return str(reason)
    except PeerError as error:
        return error.message
    if entry is None or entry.is_writable:
        return "its mode was set, and the notebook server can still write it"
    return None


def remove_by_kernel(contents: Contents, path: str) -> str | None:
    """Remove a file, or a directory with all that is in it, also what is read-only or not shown; return why not."""
    try:
        contents.kernel.value_of(_CODE, f"_staging_remove({path!r})")
    except NotDoneByKernel as reason:
        return str(reason)
    return None


def is_seen_by_kernel(contents: Contents, path: str) -> bool:
    """Return whether there is a kernel, and it has a directory where the contents API has it."""
    try:
        return contents.kernel.value_of("import os", f"os.path.isdir({path!r})") == "True"
    except NotDoneByKernel:
        return False


def look_with_checksum(contents: Contents, path: str, *, size_bytes: int) -> Entry | None:
    """Return what is at a file's path with its SHA-256; a large file is read by a kernel, if there is one."""
    look = look_by_kernel if size_bytes > MAX_HASHED_BYTES else Contents.look_with_checksum
    return look(contents, path, size_bytes=size_bytes)


def look_by_kernel(contents: Contents, path: str, *, size_bytes: int) -> Entry | None:
    """Return what is at a file's path with its SHA-256, which a kernel takes, or else the server."""
    within = KERNEL_SECONDS + size_bytes / HASH_RATE
    entry = contents.look(path)  # when it was written counts as of before it is read
    try:
        said = contents.kernel.value_of(_CODE, f"_staging_tell({path!r})", within_seconds=within)
    except NotDoneByKernel:
        return contents.look_with_checksum(path, size_bytes=size_bytes)
    told = _told(contents, said, 1)
    return entry and replace(entry, sha256=told[0].sha256, modified_ns=told[0].modified_ns)


def lay_out(contents: Contents, bundle: str, top: str, files: Sequence[tuple[str, int]]) -> list[Entry]:
    """Make the files of a bundle, which has their contents one after the other, and return them with their SHA-256.

    The files' directories exist. It may be done again.

    Parameters
    ----------
    bundle
        Its path.
    top
        Path of the directory in which the files' own paths begin.
    files
        Path and size of each, in their order.

    Raises
    ------
    HomeFull
        There is no room for them.
    PeerFault
        The kernel could not do it.
    StagingError
        As by `Contents`.
    """
    try:
        said = contents.kernel.value_of(_CODE, f"_staging_lay_out({bundle!r}, {top!r}, {list(files)!r})")
    except NotDoneByKernel as error:
        contents.look(top)  # a server that is down says so itself
        raise _in_words(contents, top, str(error)) from error
    return _told(contents, said, len(files))


def is_as_told(contents: Contents, top: str, folders: Iterable[str], files: Iterable[tuple[str, int, int]]) -> bool:
    """Return whether a directory has these directories and files, as a kernel told of them, and nothing else.

    Parameters
    ----------
    folders
        Their paths in the directory.
    files
        Path, size and time of modification of each.

    Raises
    ------
    NotDoneByKernel
        It cannot be told.
    """
    lines = [f"{path} " for path in folders] + [f"{path} {size} {modified}" for path, size, modified in files]
    state = hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()
    return contents.kernel.value_of(_CODE, f"_staging_state({top!r})") == state


def _told(contents: Contents, said: str, count: int) -> list[Entry]:
    found = [_TOLD.fullmatch(one) for one in said.split(",")]
    told = [
        Entry(
            name="",
            is_directory=False,
            is_writable=True,
            sha256=one[1],
            size_bytes=int(one[2]),
            modified_ns=int(one[3]),
        )
        for one in found
        if one
    ]
    if len(told) != count:
        raise PeerFault(contents.title, "its kernel tells of files in a way that is not known")
    return told


def _in_words(contents: Contents, path: str, reason: str) -> StagingError:
    return HomeFull(path, reason) if is_about_room(reason) else PeerFault(contents.title, reason)
