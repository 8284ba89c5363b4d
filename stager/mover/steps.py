"""The steps of staging as a mover does them, for one item at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from stager.engine import Control, Published, Refuse, Staged, Survey
from stager.engine.source import opened
from stager.errors import SourceChanged, StagingError, UnforeseenError
from stager.methods import ConnectedMethod, Item
from stager.vocabulary import ManifestEntry

# A file of more bytes may take seconds.
SMALL_BYTES = 16 << 20


class StepDialogue(Protocol):
    """What a step reports of its item, and asks about it, wherever it is done."""

    def control(self) -> Control:
        """Return a control that reports progress, and cancels."""

    def on_file(self, file: ManifestEntry) -> None:
        """Report a file of the product."""

    def known(self) -> Iterator[ManifestEntry]:
        """Yield the checksums that an earlier delivery of the very same source has on record."""

    def confirm(self) -> None:
        """Check that the destination is still ours, and raise if it is not."""


class ItemsAtWork:
    """The items that somebody works on, by one method, and their state.

    Each step returns what the service is told of it, beside that it is done.
    """

    def __init__(self, method: ConnectedMethod, items: Mapping[int, Item]) -> None:
        self._method = method
        self._items = dict(items)
        self._surveys: dict[int, Survey] = {}
        # Those that were looked at again, since they had changed.
        self._changed: set[int] = set()
        self._kinds: dict[int, str] = {}
        self._staged: dict[int, Staged] = {}

    def take(self, items: Mapping[int, Item]) -> None:
        """Take further items."""
        self._items.update(items)

    def look(self, item_id: int, _: StepDialogue) -> dict[str, Any]:
        """Tell whether a source is a small file, or cannot be opened and so fails at once."""
        try:
            with opened(self._items[item_id].source) as found:
                return {"is_small": not found.is_directory and found.status.st_size <= SMALL_BYTES}
        except StagingError:
            return {"is_small": True}  # the first step will say what is wrong with it

    def check_source(self, item_id: int, _: StepDialogue) -> dict[str, Any]:
        """Look at the source."""
        return {"surveyed": vars(self._survey(item_id))}

    def _survey(self, item_id: int) -> Survey:
        """Return the survey of the source, made once; a later one must find the same kind of thing."""
        if item_id not in self._surveys:
            item = self._items[item_id]
            survey = self._surveys[item_id] = self._method.check_source(item)
            if self._kinds.setdefault(item_id, survey.kind) != survey.kind:
                raise SourceChanged(item.source.display, f"it became a {survey.kind}")
        return self._surveys[item_id]

    def check_duplicate(self, item_id: int, dialogue: StepDialogue) -> dict[str, Any]:
        """Compare the source with what is at the destination."""
        item, survey = self._items[item_id], self._survey(item_id)
        control = dialogue.control()
        is_there = self._method.check_duplicate(item, survey, on_file=dialogue.on_file, control=control)
        return {"is_duplicate": True} if is_there else {}

    def transfer(self, item_id: int, dialogue: StepDialogue) -> dict[str, Any]:
        """Bring the data beside their destination."""
        item, survey = self._items[item_id], self._survey(item_id)
        is_known = item.last_copy is not None and item.last_copy.source_fingerprint == survey.fingerprint
        known = dialogue.known() if is_known else None
        try:
            self._staged[item_id] = self._method.transfer(
                item, survey, known=known, on_file=dialogue.on_file, control=dialogue.control()
            )
        except SourceChanged:
            del self._surveys[item_id]  # the next try takes the source as it is then
            self._changed.add(item_id)
            raise
        return {"surveyed": vars(survey)} if item_id in self._changed else {}

    def set_read_only(self, item_id: int, _: StepDialogue) -> dict[str, Any]:
        """Set the modes."""
        self._method.set_read_only(self._items[item_id], self._staged[item_id])
        return {}

    def flush(self, item_ids: Sequence[int]) -> None:
        """Make what is staged durable, all at once."""
        self._method.flush(self._staged[item_id] for item_id in item_ids)

    def publish(self, item_ids: Sequence[int], refuse: Refuse) -> dict[int, Published | StagingError]:
        """Give the products of some items their names."""
        products = {item_id: (self._items[item_id], self._staged[item_id]) for item_id in item_ids}
        outcomes = self._method.publish(products, refuse=refuse)
        for item_id, outcome in outcomes.items():
            if not isinstance(outcome, StagingError):
                del self._staged[item_id]
        return outcomes

    def remove(self, item_id: int, dialogue: StepDialogue) -> dict[str, Any]:
        """Remove what was delivered, as it is on record."""
        item = self._items[item_id]
        if item.last_copy is None:
            raise UnforeseenError(ValueError(f"{item.destination.display} was never delivered"))
        known, confirm = dialogue.known(), dialogue.confirm
        return {"is_removed": self._method.remove(item, item.last_copy, known=known, confirm=confirm)}

    def discard(self) -> None:
        """Remove what was not published, the last first: folders that were made for several items go with the last."""
        for item_id in reversed(list(self._staged)):
            self._method.discard(self._staged.pop(item_id))


STEPS: dict[str, Callable[[ItemsAtWork, int, StepDialogue], dict[str, Any]]] = {
    "look": ItemsAtWork.look,
    "check source": ItemsAtWork.check_source,
    "check duplicate": ItemsAtWork.check_duplicate,
    "transfer": ItemsAtWork.transfer,
    "set read-only": ItemsAtWork.set_read_only,
    "remove": ItemsAtWork.remove,
}
