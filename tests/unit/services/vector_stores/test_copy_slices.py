"""How a copy of a vector store is cut into shards."""

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.services.jobs.kind import MOST_SHARDS
from core.services.vector_stores.copying.job import CHUNKS, FEW_ROWS, slices_of


@given(
    st.lists(st.text("abc", min_size=1, max_size=9), max_size=300),
    st.integers(1, 64),
    st.integers(1, 20),
    st.integers(0, 9),
)
def test_every_entry_is_in_one_row_of_one_shard(entries: list[str], size: int, few: int, start: int) -> None:
    content = "." * start + "".join(f"{entry}\n" for entry in entries)
    parts = list(slices_of("x", entries, size, few, start))
    groups = [content[part.source["start"] : part.source["stop"]].splitlines() for part in parts]
    assert [entry for group in groups for entry in group] == entries
    assert [-(-len(group) // size) for group in groups] == [part.rows for part in parts]
    assert all(part.rows <= few for part in parts)


@pytest.mark.parametrize("count", [0, 1, 1_000_000])
def test_many_keys_make_larger_shards_and_not_too_many(count: int) -> None:
    parts = list(slices_of("chunks", ["="] * count, CHUNKS, FEW_ROWS))
    assert len(parts) <= MOST_SHARDS // 2
    assert sum(part.rows for part in parts) == -(-count // CHUNKS)
