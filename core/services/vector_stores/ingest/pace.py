"""How many texts are embedded together: as many as the model does in a few seconds, be it a vendor's or one on a laptop."""

from collections.abc import Awaitable, Callable, Sequence
import time
from typing import Final

from core.apis.vector_io import Vector
from core.errors import UpstreamTimeout

FIRST: Final = 8
QUICK_SECONDS: Final = 1.0
"""A batch that takes less is followed by one of twice as many texts."""
SLOW_SECONDS: Final = 5.0
"""One that takes more, by one of half as many: progress is noted after each, and a timeout loses one alone."""


class EmbeddingPace:
    """Of one ingest; `most` texts go together at most."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self.size = min(FIRST, most)
        self._most = most
        self._clock = clock

    async def embed(
        self, texts: Sequence[str], ask: Callable[[Sequence[str]], Awaitable[Sequence[Vector]]]
    ) -> list[Vector]:
        """The texts as vectors, in their order; those that a timeout was for are asked for again, fewer at a time.

        Raises:
            UpstreamTimeout: one text alone takes too long.
            ApiError: what `ask` raises else.
        """
        vectors: list[Vector] = []
        while len(vectors) < len(texts):
            part = texts[len(vectors) : len(vectors) + self.size]
            began = self._clock()
            try:
                vectors += await ask(part)
            except UpstreamTimeout:
                if len(part) == 1:
                    raise
                self.size = max(1, len(part) // 4)
                continue
            self._adapt(self._clock() - began)
        return vectors

    def _adapt(self, seconds: float) -> None:
        if seconds < QUICK_SECONDS:
            self.size = min(self._most, self.size * 2)
        elif seconds > SLOW_SECONDS:
            self.size = max(1, self.size // 2)
