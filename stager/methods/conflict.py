"""What a request's ``on_conflict`` means for a destination at which something is."""

from __future__ import annotations

from stager.errors import DestinationDiffers, DestinationExists
from stager.methods.method import Item
from stager.vocabulary import OnConflict


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
