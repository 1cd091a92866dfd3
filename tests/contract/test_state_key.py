"""The key that a stack has in its state: one for all who have that state, whoever is first, over both databases."""

import asyncio
from pathlib import Path
from typing import Any, override

import pytest

from core.apis.sealing import DataKey
from core.errors import StateUnavailable
from core.services.sealing.sealer import StateKeyBehind
from core.services.sealing.state_key import OF_RESPONSES, StateKey
from tests.contract.documents import KINDS, Documenting
from tests.unit.services.responses.test_sealing import Keys

OTHER = DataKey(b"of KMS" * 20, bytes(32))


class Parts:
    """Of a stack, as far as the key needs them."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.stores = self

    def collection(self, name: str) -> Any:
        del name
        return self.store

    def end_with(self, close: Any) -> None: ...


@pytest.mark.parametrize("kind", KINDS)
async def test_of_all_who_begin_at_once_one_makes_the_key(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    documenting = Documenting.fresh(request, kind, tmp_path, "state_table", blobs=str(tmp_path / "blobs"))
    async with documenting.opened() as store:
        parts: Any = Parts(store)
        assert await StateKey(parts).open(b"0123456789abcdef", "ada") is None
        made = await asyncio.gather(*[StateKey(parts).make("ada") for _ in range(8)])
        assert len({(key.name, key.secret) for key in made}) == 1
        key, later = made[0], StateKeyBehind(Keys(OTHER), StateKey(parts))
        assert await later.open(OTHER.name, "ada") == OTHER.secret
        assert await later.make("ada") == OTHER
        assert len(key.secret) == 32
        assert await later.open(key.name, "bob") == key.secret
        assert await later.open(b"0123456789abcdef", "bob") is None
        [document] = (await store.page(OF_RESPONSES.collection, limit=9)).documents
        assert document.owner is None


async def test_where_there_is_no_state_that_is_said() -> None:
    class Nowhere(Parts):
        @override
        def collection(self, name: str) -> Any:
            raise StateUnavailable(name)

    parts: Any = Nowhere(None)
    with pytest.raises(StateUnavailable):
        await StateKey(parts).make("ada")
