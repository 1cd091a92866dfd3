"""What a process remembers of the counters in their current windows."""

from typing import Final

MOST: Final = 10_000  # counters


class Memory:
    """The most that was seen in a counter, of what never falls while its window lasts."""

    def __init__(self, most: int = MOST) -> None:
        """Beyond `most` counters, of windows that are over too, all is forgotten, which costs no more than asking the store again."""
        self._most = most
        self._seen: dict[tuple[str, str], int] = {}

    def seen(self, window: str, key: str) -> int:
        """0 for a counter that is not remembered."""
        return self._seen.get((window, key), 0)

    def remember(self, window: str, key: str, number: int) -> None:
        place = (window, key)
        if len(self._seen) >= self._most and place not in self._seen:
            self._seen.clear()
        self._seen[place] = max(number, self._seen.get(place, 0))
