"""Batches of texts grow with a quick model and shrink with a slow one, and each text becomes one vector whatever times out."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.vector_io import Vector
from core.errors import UpstreamTimeout
from core.services.vector_stores.ingest.pace import FIRST, EmbeddingPace
from tests.fakes import Clock

LIMIT = 60.0  # seconds after which the model is waited for no more


class Model:
    """Takes `seconds` for a text, and LIMIT at most."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds, self.sizes = clock, seconds, list[int]()

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        took = len(texts) * self.seconds
        self.clock.now += min(took, LIMIT)
        if took > LIMIT:
            raise UpstreamTimeout("Provider `m` did not answer in time.")
        self.sizes.append(len(texts))
        return [(float(text),) for text in texts]


@given(st.integers(0, 300), st.floats(0, LIMIT))
async def test_each_text_becomes_its_vector_however_slow_the_model_is(count: int, seconds: float) -> None:
    clock = Clock()
    model = Model(clock, seconds)
    pace = EmbeddingPace(64, lambda: clock.now)
    assert await pace.embed([str(n) for n in range(count)], model.embed) == [(float(n),) for n in range(count)]
    assert max(model.sizes, default=1) <= 64


async def test_a_quick_model_gets_more_and_a_slow_one_less() -> None:
    clock = Clock()
    texts = [str(n) for n in range(300)]
    quick, slow = Model(clock, 0.001), Model(clock, 20.0)
    await EmbeddingPace(64, lambda: clock.now).embed(texts, quick.embed)
    assert quick.sizes[:4] == [FIRST, 2 * FIRST, 4 * FIRST, 64]
    await EmbeddingPace(64, lambda: clock.now).embed(texts, slow.embed)
    assert set(slow.sizes[1:]) == {1}


async def test_one_text_that_takes_too_long_is_a_timeout() -> None:
    clock = Clock()
    with pytest.raises(UpstreamTimeout):
        await EmbeddingPace(64, lambda: clock.now).embed(["1", "2"], Model(clock, LIMIT + 1).embed)
