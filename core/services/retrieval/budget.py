"""Texts within a budget of tokens, by the estimate that chunks are measured by. Pure."""

from collections.abc import Sequence

from core.services.vector_stores.ingest.tokens import cut_to_tokens, estimate_tokens


def fit(texts: Sequence[str], most: int | None) -> list[str]:
    """The first texts that have at most `most` tokens together, up to the one that has too many; the first is cut where it must be."""
    if most is None:
        return [*texts]
    fitting: list[str] = []
    room = most
    for text in texts:
        tokens = estimate_tokens(text)
        if tokens > room:
            break
        fitting.append(text)
        room -= tokens
    return fitting or [cut_to_tokens(text, most) for text in texts[:1]]
