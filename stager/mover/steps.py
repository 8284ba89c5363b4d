"""The steps of staging as a mover does them, for one item at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stager.engine import Staged, Survey
from stager.engine.source import folder_of, opened
from stager.errors import SourceChanged, StagingError
from stager.methods import Item, StagingMethod
from stager.mover.dialogue import Dialogue
from stager.mover.lending import Lending

# A file of more bytes may take seconds.
SMALL_BYTES = 16 << 20


class MoverItems:
    """The items that a mover works on, by one method, and their state.

    Each step returns what the service is told of it, beside that it is done.
    Their sources are lent to the service, where the method's place is one that a mover cannot write to.
    """

    def __init__(self, method: StagingMethod, items: Mapping[int, Item]) -> None:
        self._method = method
        self._items = items
        self._surveys: dict[int, Survey] = {}
        self._kinds: dict[int, str] = {}
        self._staged: dict[int, Staged] = {}
        self.lending = Lending(folder_of)
        self.lending.begin({item_id: item.source for item_id, item in items.items() if item.read_as == "user"})

    def look(self, item_id: int, _: Dialogue) -> dict[str, Any]:
        """Tell whether a source is a small file, or cannot be opened and so fails at once."""
        try:
            with opened(self._items[item_id].source) as found:
                return {"is_small": not found.is_directory and found.status.st_size <= SMALL_BYTES}
        except StagingError:
            return {"is_small": True}  # the first step will say what is wrong with it

    def check_source(self, item_id: int, _: Dialogue) -> dict[str, Any]:
        """Look at the source."""
        return {"surveyed": asdict(self._survey(item_id))}

    def _survey(self, item_id: int) -> Survey:
        """Return the survey of the source, made once; a later one must find the same kind of thing."""
        if item_id not in self._surveys:
            item = self._items[item_id]
            survey = self._surveys[item_id] = self._method.check_source(item)
            if self._kinds.setdefault(item_id, survey.kind) != survey.kind:
                raise SourceChanged(item.source.display, f"it became a {survey.kind}")
        return self._surveys[item_id]

    def check_duplicate(self, item_id: int, dialogue: Dialogue) -> dict[str, Any]:
        """Compare the source with what is at the destination."""
        item, survey = self._items[item_id], self._survey(item_id)
        control = dialogue.control()
        return {"is_duplicate": self._method.check_duplicate(item, survey, on_file=dialogue.on_file, control=control)}

    def transfer(self, item_id: int, dialogue: Dialogue) -> dict[str, Any]:
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
            raise
        return {"surveyed": asdict(survey)}

    def set_read_only(self, item_id: int, _: Dialogue) -> dict[str, Any]:
        """Set the modes."""
        self._method.set_read_only(self._items[item_id], self._staged[item_id])
        return {}

    def flush(self, item_ids: Sequence[int]) -> None:
        """Make what is staged durable, all at once."""
        self._method.flush(self._staged[item_id] for item_id in item_ids)

    def publish(self, item_id: int, dialogue: Dialogue) -> dict[str, Any]:
        """Give the product its name."""
        delivered = self._method.publish(self._items[item_id], self._staged[item_id], confirm=dialogue.confirm)
        del self._staged[item_id]
        return {"delivered": asdict(delivered)}

    def discard(self) -> None:
        """Remove what was not published, the last first: folders that were made for several items go with the last."""
        for item_id in reversed(list(self._staged)):
            self._method.discard(self._staged.pop(item_id))


STEPS: dict[str, Callable[[MoverItems, int, Dialogue], dict[str, Any]]] = {
    "look": MoverItems.look,
    "check source": MoverItems.check_source,
    "check duplicate": MoverItems.check_duplicate,
    "transfer": MoverItems.transfer,
    "set read-only": MoverItems.set_read_only,
    "publish": MoverItems.publish,
}
