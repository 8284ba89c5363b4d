"""What a request's ``on_conflict`` means for a destination at which something is."""

from __future__ import annotations

from stager.engine import Survey
from stager.errors import DestinationDiffers, DestinationExists
from stager.methods.method import Item
from stager.vocabulary import OnConflict


def last_fingerprint(item: Item, survey: Survey) -> str | None:
    """Return the fingerprint of our last delivery of the very same source, with the checksum that the request says.

    None if there was none.
    """
    last, wanted = item.last_copy, item.expected.checksum
    if last is None or last.source_fingerprint != survey.fingerprint or wanted not in (None, last.checksum):
        return None
    return last.destination_fingerprint


def settle(item: Item, *, difference: str | None) -> bool:
    """Return True to skip the item, False to replace what is at the destination.

    Parameters
    ----------
    difference
        How the destination differs from what would be delivered, None when it
        does not.
    """
    if item.on_conflict is OnConflict.FAIL:
        raise DestinationExists(item.destination.display)
    if difference is None:
        return True
    if item.on_conflict is OnConflict.SKIP_IDENTICAL:
        raise DestinationDiffers(item.destination.display, difference)
    return False
