"""Publication at a notebook server: renames, which never overwrite, and of which two are no atomic step."""

from __future__ import annotations

from contextlib import suppress

from stager.errors import (
    DestinationDiffers,
    DestinationExists,
    PeerFault,
    PeerStalled,
    StagingError,
)
from stager.methods.notebook_leftovers import put_back
from stager.methods.notebook_staged import NotebookStaged, require_untouched
from stager.peers.jupyter import Contents, publish


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
    put_back(contents, staged)  # which an earlier try could not
    place, found = staged.place, contents.look(staged.place.path)
    if found != staged.previous:
        raise DestinationDiffers(place.display, "it changed while the source was copied")
    try:
        if found is not None:
            staged.is_put_aside = True
            contents.rename(place.path, staged.aside)
        _rename(contents, staged)
    except BaseException as error:
        with suppress(StagingError):
            put_back(contents, staged)
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
