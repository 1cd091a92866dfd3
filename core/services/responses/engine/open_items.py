"""What was added to a run's output and is not done: so that all that was begun is done, whatever becomes of the run."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from core.services.responses.contract import Event, Item, ItemAdded, ItemDone, Slot
from core.services.responses.engine.bounds import OutputBound
from core.services.responses.engine.pieces import broken_item
from core.services.responses.engine.standing import Standing
from core.services.responses.output import Output

if TYPE_CHECKING:
    from core.services.responses.engine.steps import StepWriter


class OpenItems:
    """Of one run: it is shown every event but a text's, which `bound` is. What is done goes to `standing`, and to `writer` where the run is recorded."""

    __slots__ = ("_items", "bound", "output", "standing", "writer")

    def __init__(self, output: Output, standing: Standing, writer: "StepWriter | None") -> None:
        self.output = output
        self.standing = standing
        self.writer = writer
        self.bound = OutputBound()
        self._items: dict[Slot, Item] = {}

    def note[E: (Event)](self, event: E) -> E:
        self.bound.take(event)
        if isinstance(event, ItemAdded):
            self._items[event.slot] = event.item
        elif isinstance(event, ItemDone):
            self._items.pop(event.slot, None)
            self.standing.items.append(event.item)
            if self.writer is not None:
                self.writer.note(event.slot.place)
        return event

    def note_call(self, slot: Slot | None, arguments: str) -> None:
        """That the arguments of the call there are whole."""
        if slot is not None and slot in self._items:
            self._items[slot] = broken_item(self._items[slot], arguments)

    def break_off(self) -> Iterator[Event]:
        """The ends of all."""
        for slot, item in [*self._items.items()]:
            yield self.note(ItemDone(slot, broken_item(item)))
