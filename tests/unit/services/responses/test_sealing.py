"""The table of attacks on what is sealed: for whom it is, what was changed of it, and whose key it is under."""

from base64 import urlsafe_b64encode
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.sealing import DataKey, DataKeys
from core.errors import InvalidRequest
from core.frame.callers import Call, Principal
from core.services.responses.compaction.context import Compacted, check_compactions, open_context, seal_compaction
from core.services.responses.contract import Item
from core.services.sealing.envelope import Broken, Envelope, seal
from core.services.sealing.sealer import Sealer
from tests.parts.thread_state import texts, user

KEY: Final = DataKey(b"name", bytes(32))
OTHER: Final = DataKey(b"name", bytes([1]) * 32)
SEALED: Final = seal(b"a summary", KEY, "ada")


class Keys:
    def __init__(self, *keys: DataKey) -> None:
        self._keys = keys

    async def make(self, owner: str) -> DataKey:
        del owner
        return self._keys[0]

    async def open(self, name: bytes, owner: str) -> bytes | None:
        del owner
        return next((key.secret for key in self._keys if key.name == name), None)


def sealer(who: str, keys: DataKeys) -> Sealer:
    return Sealer(keys, Call(Principal(who, {}, "issuer")))


@given(content=st.binary(max_size=100), name=st.binary(max_size=200), owner=st.text(max_size=20))
def test_what_is_sealed_opens_for_its_owner(content: bytes, name: bytes, owner: str) -> None:
    key = DataKey(name, bytes(32))
    envelope = Envelope.read(seal(content, key, owner))
    assert envelope.name == name
    assert envelope.open(key.secret, owner) == content


def test_two_of_the_same_are_not_alike_and_nothing_of_it_can_be_read() -> None:
    assert seal(b"a summary", KEY, "ada") != SEALED
    assert "summary" not in SEALED
    assert "\\x00" not in repr(KEY)


@given(st.integers(0, len(SEALED) - 1), st.sampled_from("AZaz09-_=+ é"))
def test_one_character_changed_does_not_open(place: int, character: str) -> None:
    changed = SEALED[:place] + character + SEALED[place + 1 :]
    if changed != SEALED:
        with pytest.raises(Broken):
            Envelope.read(changed).open(KEY.secret, "ada")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "plain text",
        "ä",
        SEALED + "A",
        SEALED + "=",
        urlsafe_b64encode(b"L1\xff\xff").decode(),
        "L1" * 5_000_000,
    ],
    ids=["empty", "short", "plain", "umlaut", "longer", "padded", "no head", "large"],
)
def test_what_is_no_envelope_is_broken(text: str) -> None:
    with pytest.raises(Broken):
        Envelope.read(text)


@given(st.integers(0, len(SEALED) - 1), st.integers(0, len(SEALED) - 1))
def test_cut_or_swapped_it_does_not_open(end: int, swap: int) -> None:
    other = seal(b"a summary", KEY, "ada")
    mixed = SEALED[:swap] + other[swap:]
    for text in (SEALED[:end], *([mixed] if mixed not in {SEALED, other} else [])):
        with pytest.raises(Broken):
            Envelope.read(text).open(KEY.secret, "ada")


async def test_another_owner_or_another_key_opens_nothing() -> None:
    sealed = await sealer("ada", Keys(KEY)).seal(b"a summary")
    assert await sealer("ada", Keys(OTHER, KEY)).unseal(await sealer("ada", Keys(OTHER)).seal(b"new")) == b"new"
    for who, keys in (("bob", Keys(KEY)), ("ada", Keys(OTHER)), ("ada", Keys(DataKey(b"x", KEY.secret)))):
        with pytest.raises(Broken):
            await sealer(who, keys).unseal(sealed)
    with pytest.raises(Broken):
        await Sealer(Keys(KEY), Call(Principal("ada", {}, "another issuer"))).unseal(sealed)


async def test_what_is_sealed_for_one_purpose_does_not_open_for_another() -> None:
    call = Call(Principal("ada", {}, "issuer"))
    thoughts = Sealer(Keys(KEY), call, "reasoning")
    sealed = await thoughts.seal(b"hm")
    assert await thoughts.unseal(sealed) == b"hm"
    with pytest.raises(Broken):
        await Sealer(Keys(KEY), call).unseal(sealed)


async def compacted(who: str, summary: str, *, replaces: bool = True) -> Item:
    item = await seal_compaction(sealer(who, Keys(KEY)), Compacted(summary, replaces=replaces))
    assert item is not None
    return item


async def test_of_what_was_kept_a_compaction_that_does_not_open_is_left_out_and_what_it_replaced_is_told() -> None:
    said = [user("a"), await compacted("ada", "old"), user("b"), await compacted("bob", "of bob"), user("c")]
    said.append({"type": "compaction", "encrypted_content": await sealer("ada", Keys(KEY)).seal(b"no JSON")})
    opened = await open_context(sealer("ada", Keys(KEY)), [*said, user("new")], kept_count=len(said))
    told = texts(opened.items)
    assert (told[0].endswith("old"), told[1:], opened.kept_count) == (True, ["b", "c", "new"], 3)
    opened = await open_context(sealer("eve", Keys(KEY)), [*said, user("new")], kept_count=len(said))
    assert (texts(opened.items), opened.kept_count) == (["a", "b", "c", "new"], 3)
    with pytest.raises(InvalidRequest, match=r"input\[3\].encrypted_content: this compaction was not made here"):
        await open_context(sealer("ada", Keys(KEY)), said, kept_count=2)
    with pytest.raises(InvalidRequest, match=r"input\[0\].encrypted_content"):
        await open_context(sealer("ada", Keys(KEY)), said, kept_count=5)


async def test_new_items_of_a_conversation_are_refused_where_a_compaction_does_not_open() -> None:
    items = [user("a"), await compacted("ada", "old"), await compacted("bob", "of bob")]
    await check_compactions(sealer("ada", Keys(KEY)), items[:2], "items")
    with pytest.raises(InvalidRequest) as refused:
        await check_compactions(sealer("ada", Keys(KEY)), items, "items")
    assert refused.value.param == "items[2].encrypted_content"
