"""Publication at a notebook server: renames, which never overwrite, and of which two are no atomic step."""

from __future__ import annotations

from contextlib import suppress

from stager.errors import (
    DestinationDiffers,
    DestinationExists,
    DestinationNotWritable,
    PeerFault,
    PeerRefused,
    PeerStalled,
    StagingError,
)
from stager.methods.notebook_path import NotebookPath
from stager.methods.notebook_staged import NotebookStaged, name_aside, remove, require_untouched
from stager.peers.jupyter import Contents, publish


def put_back(contents: Contents, place: NotebookPath) -> None:
    """Undo what a run that was killed in the middle of a replacement did: of two, the new one stays."""
    aside = place.beside(name_aside(place))
    if contents.look(aside) is None:
        return
    if contents.look(place.path) is None:
        contents.rename(aside, place.path)
    else:
        with suppress(DestinationNotWritable, PeerRefused):  # it stays, and nothing more is replaced here
            remove(contents, aside)


def give_final_name(contents: Contents, staged: NotebookStaged) -> None:
    """Rename a product to its final name; what it replaces gets a name aside before, and that name back on any error.

    Raises
    ------
    DestinationDiffers
        Something is there, or something else than there was.
    DestinationTampered
        The product is not what it was.
    PeerError
        As by `Contents.rename`.
    """
    place = staged.place
    aside, found = place.beside(name_aside(place)), contents.look(place.path)
    if found != staged.previous:
        raise DestinationDiffers(place.display, "it changed while the source was copied")
    try:
        if found is not None:
            contents.rename(place.path, aside)
        _rename(contents, staged)
    except BaseException as error:
        if found is not None:
            with suppress(StagingError):  # which never overwrites what has the name by now
                contents.rename(aside, place.path)
        if isinstance(error, DestinationExists):
            raise DestinationDiffers(place.display, "it changed while the source was copied") from error
        raise


def _rename(contents: Contents, staged: NotebookStaged) -> None:
    place = staged.place
    if staged.kind == "file":
        publish(contents, staged.files[""], place.path)
        return
    try:
        contents.rename(staged.temporary, place.path)
    except (PeerFault, PeerStalled):  # it may have been done all the same
        if contents.look(staged.temporary) is not None or contents.look(place.path) is None:
            raise
        require_untouched(contents, staged, at=place.path)
