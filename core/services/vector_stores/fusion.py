"""Two rankings of the same chunks as one: by reciprocal ranks, or by weighted scores. Pure.

Fused scores are from 0 to 1: divided by what a chunk would have that is the first of both rankings.
Source: https://plg.uwaterloo.ca/~gvcormac/cormacksigir09-rrf.pdf (the constant of 60).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from core.apis.vector_io import ScoredChunk

IMPACT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Fusion:
    """How to fuse: `vector` and `keyword` are the weights of the two rankings, one above 0; `impact` is that of `rrf`.

    `normalized` is `weighted` by scores that are divided by the best one of their ranking.
    """

    ranker: Literal["rrf", "weighted", "normalized"] = "rrf"
    impact: float = IMPACT
    vector: float = 1.0
    keyword: float = 1.0

    @property
    def is_plain(self) -> bool:
        """Whether it is what a provider with the capability `hybrid` does itself."""
        return self.ranker == "rrf" and self.impact == IMPACT and self.vector == self.keyword


def fuse(vector: Sequence[ScoredChunk], keyword: Sequence[ScoredChunk], how: Fusion) -> list[ScoredChunk]:
    """The chunks of both rankings, each once, the best first; of equal ones that with the lower key.

    A chunk that a ranking does not have adds nothing for it.
    """
    sums: dict[str, float] = {}
    chunks: dict[str, ScoredChunk] = {}
    for weight, ranking in ((how.vector, vector), (how.keyword, keyword)):
        if not weight:
            continue
        scale = max((scored.score for scored in ranking), default=0.0) if how.ranker == "normalized" else 1.0
        for rank, scored in enumerate(ranking, 1):
            key = scored.chunk.key
            share = (how.impact + 1) / (how.impact + rank) if how.ranker == "rrf" else scored.score / (scale or 1.0)
            sums[key] = sums.get(key, 0.0) + weight * share
            chunks.setdefault(key, scored)
    most = how.vector + how.keyword
    fused = [replace(scored, score=min(sums[key] / most, 1.0)) for key, scored in chunks.items()]
    return sorted(fused, key=lambda scored: (-scored.score, scored.chunk.key))
