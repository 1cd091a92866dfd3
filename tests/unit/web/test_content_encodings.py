"""Compressed bodies become what they were, whole and within the limit, or are refused before they cost."""

from collections.abc import Callable
import gzip
import tracemalloc
import zlib

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.errors import BodyTooLarge, InvalidRequest, UnsupportedMediaType
from core.web.content_encodings import inflater_of

LIMIT = 10_000


def raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


CODINGS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "Deflate ": raw}


def inflate(coding: str, data: bytes, piece: int, limit: int = LIMIT) -> bytes:
    inflater = inflater_of(coding, limit)
    whole = b"".join(inflater(data[at : at + piece]) for at in range(0, len(data), piece))
    inflater.end()
    return whole


@given(st.sampled_from(sorted(CODINGS)), st.binary(max_size=LIMIT), st.integers(1, 3000))
def test_it_is_what_it_was_whatever_the_pieces(coding: str, data: bytes, piece: int) -> None:
    assert inflate(coding, CODINGS[coding](data), piece) == data


@given(st.sampled_from(sorted(CODINGS)), st.binary(max_size=500), st.data())
def test_a_part_of_it_is_refused(coding: str, data: bytes, draw: st.DataObject) -> None:
    packed = CODINGS[coding](data)
    end = draw.draw(st.integers(1, len(packed) - 1))
    with pytest.raises(InvalidRequest):
        inflate(coding, packed[:end], 100)


@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_what_is_behind_it_is_refused(coding: str) -> None:
    for more in (b"x", CODINGS[coding](b"{}")):
        with pytest.raises(InvalidRequest, match="one whole stream"):
            inflate(coding, CODINGS[coding](b"{}") + more, 7)


@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_a_bomb_is_refused_early(coding: str) -> None:
    assert inflate(coding, CODINGS[coding](b"a" * LIMIT), 50) == b"a" * LIMIT
    bomb = CODINGS[coding](bytes(100_000_000))
    tracemalloc.start()
    with pytest.raises(BodyTooLarge, match=str(LIMIT)):
        inflate(coding, bomb, len(bomb))
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("coding", ["zstd", "br", "gzip, gzip", "identity, gzip", "gzip;q=1", "\r\n" * 99])
def test_another_coding_is_refused_with_those_that_are_taken(coding: str) -> None:
    with pytest.raises(UnsupportedMediaType, match="gzip, deflate") as refused:
        inflater_of(coding, LIMIT)
    assert refused.value.headers == {"accept-encoding": "gzip, deflate"}
