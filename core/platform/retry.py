"""How long to wait before another try of what others were in the way of: longer each time, and at random.

Waiting equally long, those who met would meet again:
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ (its "full jitter").
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits, in seconds, of at most `first`, then twice as long each time, up to `longest`; for ever without `tries`."""

    first: float
    longest: float
    tries: int | None = None

    def pauses(self) -> Iterator[float]:
        """The wait before each try; 0 before the first."""
        bound, tries = self.first, 1
        yield 0.0
        from random import uniform  # its hashes are not for a cold start

        while self.tries is None or tries < self.tries:
            yield uniform(0, bound)  # noqa: S311 - no secret
            bound, tries = min(2 * bound, self.longest), tries + 1
