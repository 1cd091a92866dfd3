"""The vectors of one index in memory, one after another, and the nearest of them: exact, by simsimd, without numpy."""

from array import array
from collections.abc import Iterable, Sequence
from heapq import nlargest
from typing import Any, Final

from core.errors import ProviderUnavailable

BLOCK: Final = 256  # scores, of which the highest is looked for first
FEW: Final = 8  # in smaller blocks it would be no help
SPARSE: Final = 8  # where fewer than one in so many may be found, they are copied together before the scan


class Vectors:
    """Float32 vectors of length 1, or 0, by the id of their chunk; one thread at a time."""

    def __init__(self, dimension: int, epoch: int) -> None:
        self.change = 0
        self.newest = 0  # the highest id that was ever added
        self.epoch = epoch
        self._width = dimension * 4
        self._dimension = dimension
        self._ids: list[int] = []
        self._positions: dict[int, int] = {}
        self._bytes = bytearray()

    @property
    def size(self) -> int:
        """Bytes of the vectors."""
        return len(self._bytes)

    def add(self, rows: Iterable[tuple[int, bytes]]) -> None:
        """What was not there yet, by ascending ids."""
        for chunk, vector in rows:
            self._positions[chunk] = len(self._ids)
            self._ids.append(chunk)
            self._bytes += vector
            self.newest = chunk

    def remove(self, chunks: Iterable[int]) -> None:
        """The last vector takes the place of one that goes; those that are not there do not matter."""
        for chunk in chunks:
            position = self._positions.pop(chunk, None)
            if position is None:
                continue
            last, vector = self._ids.pop(), self._bytes[-self._width :]
            del self._bytes[-self._width :]
            if last != chunk:
                self._ids[position], self._positions[last] = last, position
                self._bytes[position * self._width : (position + 1) * self._width] = vector

    def nearest(self, vector: bytes, limit: int, among: Sequence[int] | None) -> list[tuple[int, float]]:
        """Ids with their cosine similarity, the best first, of equal ones the older; only of those `among`, where it is not None."""
        if among is None:
            ids, scores = self._ids, self._scan(vector, self._bytes)
        else:
            positions = [self._positions[chunk] for chunk in among if chunk in self._positions]
            ids = [self._ids[position] for position in positions]
            scores = self._scan_some(vector, positions)
        best = [(ids[place], scores[place]) for place in _places_of_best(scores, limit)]
        best.sort(key=lambda pair: (-pair[1], pair[0]))
        return best[:limit]

    def _scan_some(self, vector: bytes, positions: list[int]) -> list[float]:
        if len(positions) * SPARSE > len(self._ids):
            scores = self._scan(vector, self._bytes)
            return [scores[position] for position in positions]
        width = self._width
        with memoryview(self._bytes) as every:
            copy = b"".join([every[position * width : (position + 1) * width] for position in positions])
        return self._scan(vector, copy)

    def _scan(self, vector: bytes, rows: bytes | bytearray) -> list[float]:
        if not rows:
            return []
        cdist = load_simsimd()
        shape = (len(rows) // self._width, self._dimension)
        with memoryview(rows) as view, view.cast("f", shape) as matrix:
            query = memoryview(vector).cast("f", (1, self._dimension))
            distances: Any = memoryview(cdist(query, matrix, "dot")).cast("B").cast("d")
            scores: list[float] = distances.tolist()
        return scores


def _places_of_best(scores: list[float], limit: int) -> list[int]:
    """The places of the `limit` highest scores, of all that equal the last of them, and maybe of more.

    Of as many blocks each has a score as high as the highest of the last: what is lower than that is not looked at.
    """
    block = min(BLOCK, len(scores) // (4 * limit))
    if block < FEW:
        return list(range(len(scores)))
    tops = [max(scores[start : start + block]) for start in range(0, len(scores), block)]
    least = nlargest(limit, tops)[-1]
    starts = [number * block for number, top in enumerate(tops) if top >= least]
    places = [place for start in starts for place in range(start, min(start + block, len(scores)))]
    return [place for place in places if scores[place] >= least]


def load_simsimd() -> Any:  # noqa: ANN401 - its types know no memoryview of floats
    """Its `cdist`, here alone."""
    try:
        import simsimd
    except ImportError as missing:
        raise ProviderUnavailable(
            "Vector search needs the package simsimd, which cannot be imported here: run `pip install simsimd`."
        ) from missing
    library: Any = simsimd
    return library.cdist


def to_unit(vector: Sequence[float]) -> tuple[bytes, float]:
    """As float32 of length 1, with the length that it had; zeros stay zeros.

    Raises:
        ValueError: a number is not finite.
    """
    from math import hypot, isfinite

    norm = hypot(*vector)
    if not isfinite(norm):
        raise ValueError("not finite")
    return array("f", [number / norm for number in vector] if norm else vector).tobytes(), norm
