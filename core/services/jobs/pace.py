"""How many rows are asked at once: one more after each window of successes, half of it after a 429 (AIMD).

What was asked before the last halving says nothing of the pace since: twenty rows that are refused together halve it once.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """`limit` is how many may be under way, of at most `most`."""

    most: int
    limit: int = 0
    _successes: int = 0
    _epoch: int = 0

    def __post_init__(self) -> None:
        self.limit = self.most

    def begin(self) -> int:
        """The epoch in which a row is asked, for `throttled`."""
        return self._epoch

    def succeeded(self) -> None:
        self._successes += 1
        if self._successes >= self.limit:
            self._successes = 0
            self.limit = min(self.limit + 1, self.most)

    def throttled(self, epoch: int) -> None:
        if epoch == self._epoch:
            self._epoch += 1
            self._successes = 0
            self.limit = max(1, self.limit // 2)
