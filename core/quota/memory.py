"""What a process remembers of the counters in the current window."""

from typing import Final

MOST: Final = 10_000  # counters


class Memory:
    """The most requests that were seen in a counter; they never fall while the window lasts."""

    def __init__(self, most: int = MOST) -> None:
        """Beyond `most` counters all is forgotten, which costs no more than asking the store again."""
        self._most = most
        self._window = ""
        self._seen: dict[str, int] = {}

    def seen(self, window: str, key: str) -> int:
        """0 for a counter that is not remembered."""
        return self._seen.get(key, 0) if window == self._window else 0

    def remember(self, window: str, key: str, requests: int) -> None:
        if window != self._window or (len(self._seen) >= self._most and key not in self._seen):
            self._window = window
            self._seen.clear()
        self._seen[key] = max(requests, self._seen.get(key, 0))
