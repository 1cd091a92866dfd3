"""An issuer is asked when keys are due or a kid is unknown, not more; what it answered is used as long, and not longer."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.auth.keys import PAUSE, RSA, Key, KeySet, parse_keys
from core.errors import AuthUnavailable, Unauthenticated
from tests.fakes import Clock
from tests.parts.issuer import ec_key, jwk, rsa_key

RECHECK = 3600.0


def key(kid: str | None) -> Key:
    return Key(kid, RSA, None)


@dataclass
class Publisher:
    """`gate` holds answers back until it is set."""

    kids: list[str | None] = field(default_factory=lambda: ["a"])
    down: bool = False
    asked: int = 0
    gate: asyncio.Event | None = None

    async def __call__(self) -> list[Key]:
        self.asked += 1
        kids, down = list(self.kids), self.down
        if self.gate is not None:
            await self.gate.wait()
        if down:
            raise AuthUnavailable("later")
        return [key(kid) for kid in kids]


@dataclass
class World:
    publisher: Publisher = field(default_factory=Publisher)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.keys = KeySet(self.publisher, recheck=RECHECK, clock=self.clock)

    async def find(self, kid: str | None = "a") -> str:
        """What a caller with such a token is answered."""
        try:
            (found,) = await self.keys.find(kid, "RS256")
        except Unauthenticated:
            return "401"
        except AuthUnavailable:
            return "503"
        return str(found.kid)


@pytest.fixture
def world() -> World:
    return World()


async def test_keys_are_asked_for_once_until_they_are_due(world: World) -> None:
    assert [await world.find() for _ in range(3)] == ["a", "a", "a"]
    world.clock.now = RECHECK - 1
    assert (await world.find(), world.publisher.asked) == ("a", 1)
    world.clock.now = RECHECK
    assert (await world.find(), world.publisher.asked) == ("a", 2)


async def test_a_removed_key_is_refused_after_the_recheck_period(world: World) -> None:
    await world.find()
    world.publisher.kids = ["b"]
    assert await world.find() == "a"
    world.clock.now = RECHECK
    assert await world.find() == "401"


async def test_due_keys_are_not_used_while_the_issuer_is_dead_and_it_is_asked_each_time(world: World) -> None:
    await world.find()
    world.publisher.down = True
    assert await world.find() == "a"
    world.clock.now = RECHECK
    assert [await world.find(), await world.find()] == ["503", "503"]
    assert world.publisher.asked == 3
    world.publisher.down = False
    assert await world.find() == "a"


async def test_a_failure_at_the_start_is_not_remembered(world: World) -> None:
    world.publisher.down = True
    assert [await world.find(), await world.find("b")] == ["503", "503"]
    world.publisher.down = False
    assert (await world.find(), world.publisher.asked) == ("a", 3)


async def test_an_unknown_kid_asks_once_and_then_not_for_the_pause(world: World) -> None:
    await world.find()
    assert [await world.find("b"), await world.find("c"), await world.find("b")] == ["401", "401", "401"]
    assert world.publisher.asked == 2
    world.clock.now = PAUSE - 0.1
    assert (await world.find("b"), world.publisher.asked) == ("401", 2)
    world.clock.now = PAUSE
    assert (await world.find("b"), world.publisher.asked) == ("401", 3)


async def test_a_rotated_key_is_found_at_once_and_the_old_one_is_gone(world: World) -> None:
    await world.find()
    world.publisher.kids = ["b"]
    assert [await world.find("b"), await world.find("a")] == ["b", "401"]
    assert world.publisher.asked == 2


async def test_an_unknown_kid_at_the_start_asks_once_only(world: World) -> None:
    assert (await world.find("b"), await world.find("b"), world.publisher.asked) == ("401", "401", 1)
    world.clock.now = PAUSE
    assert (await world.find("b"), world.publisher.asked) == ("401", 2)


async def test_in_the_pause_after_a_failed_answer_an_unknown_kid_is_not_refused_but_put_off(world: World) -> None:
    await world.find()
    world.publisher.down = True
    assert [await world.find("b"), await world.find("b"), await world.find("a")] == ["503", "503", "a"]
    assert world.publisher.asked == 2
    world.publisher.down, world.publisher.kids = False, ["a", "b"]
    assert await world.find("b") == "503"
    world.clock.now = PAUSE
    assert (await world.find("b"), world.publisher.asked) == ("b", 3)


async def test_an_answer_restarts_the_recheck_period_from_when_it_was_asked_for(world: World) -> None:
    await world.find()
    world.clock.now = 100
    await world.find("b")
    world.clock.now = RECHECK + 99
    assert (await world.find(), world.publisher.asked) == ("a", 2)
    world.clock.now = RECHECK + 100
    assert (await world.find(), world.publisher.asked) == ("a", 3)


@pytest.mark.parametrize("kids", [["a", "a", "a"], ["a", "b", "c"]])
async def test_callers_at_the_same_time_share_one_request(world: World, kids: list[str]) -> None:
    world.publisher.gate, world.publisher.kids = asyncio.Event(), ["a", "b"]
    callers = [asyncio.create_task(world.find(kid)) for kid in kids]
    await asyncio.sleep(0)
    world.publisher.gate.set()
    assert await asyncio.gather(*callers) == [kid if kid != "c" else "401" for kid in kids]
    assert world.publisher.asked == 1


async def test_callers_with_unknown_kids_at_the_same_time_share_one_request(world: World) -> None:
    await world.find()
    world.publisher.gate, world.publisher.kids = asyncio.Event(), ["b"]
    callers = [asyncio.create_task(world.find(kid)) for kid in ("b", "b", "c")]
    await asyncio.sleep(0)
    world.publisher.gate.set()
    assert await asyncio.gather(*callers) == ["b", "b", "401"]
    assert world.publisher.asked == 2


@pytest.mark.parametrize("first", ["a", "b"])
async def test_a_caller_who_leaves_takes_nobody_along(world: World, first: str) -> None:
    if first == "b":
        await world.find()
    world.publisher.gate, world.publisher.kids = asyncio.Event(), ["a", "b"]
    before = world.publisher.asked
    leaver, stayer = asyncio.create_task(world.find(first)), asyncio.create_task(world.find(first))
    await asyncio.sleep(0)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    world.publisher.gate.set()
    assert (await stayer, await world.find(first)) == (first, first)
    assert world.publisher.asked == before + 1


async def test_an_answer_that_took_long_is_as_old_as_its_question(world: World) -> None:
    world.publisher.gate = asyncio.Event()
    caller = asyncio.create_task(world.find())
    await asyncio.sleep(0.001)
    world.clock.now = 10
    world.publisher.gate.set()
    assert await caller == "a"
    world.clock.now = RECHECK
    assert (await world.find(), world.publisher.asked) == ("a", 2)


async def test_a_failure_that_nobody_waits_for_any_more_is_quiet(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.publisher.gate, world.publisher.down = asyncio.Event(), True
    leaver = asyncio.create_task(world.find())
    await asyncio.sleep(0)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    world.publisher.gate.set()
    await asyncio.sleep(0.01)
    world.publisher.down = False
    assert await world.find() == "a"
    assert not caplog.records


def test_a_request_that_ended_with_its_event_loop_does_not_block_the_next_one(world: World) -> None:
    world.publisher.gate = asyncio.Event()
    ended = asyncio.new_event_loop()
    with pytest.raises(TimeoutError):
        ended.run_until_complete(_give_up(world))
    world.publisher.gate = None
    assert asyncio.run(world.find()) == "a"
    for left in asyncio.all_tasks(ended):
        left.cancel()
    ended.run_until_complete(asyncio.sleep(0))
    ended.close()


async def _give_up(world: World) -> None:
    async with asyncio.timeout(0.01):
        await world.find()


@pytest.mark.parametrize(
    ("kids", "found"), [(["a"], "a"), ([None], "None"), (["a", "b"], "401"), ([None, None], "401"), ([], "401")]
)
async def test_a_token_without_kid_needs_exactly_one_key(world: World, kids: list[str | None], found: str) -> None:
    world.publisher.kids = kids
    assert [await world.find(None), await world.find(None)] == [found, found]
    assert world.publisher.asked == 1


async def test_a_key_without_kid_is_not_the_key_of_any_kid(world: World) -> None:
    world.publisher.kids = [None]
    assert [await world.find(""), await world.find("None")] == ["401", "401"]


GOOD = jwk(rsa_key(), "a")
EC = jwk(ec_key(), "a")


@pytest.mark.parametrize(
    ("entry", "algorithms"),
    [
        (GOOD, set(RSA)),
        ({**GOOD, "use": None}, set(RSA)),
        ({**GOOD, "alg": "PS384"}, {"PS384"}),
        ({**GOOD, "alg": "ES256"}, None),
        ({**GOOD, "alg": "HS256"}, None),
        ({**GOOD, "alg": "none"}, None),
        ({**GOOD, "alg": ["RS256"]}, None),
        ({**GOOD, "use": "enc"}, None),
        ({**GOOD, "use": ["sig"]}, None),
        ({**GOOD, "kid": 1}, None),
        ({**GOOD, "d": "AQAB"}, None),
        ({**GOOD, "n": None}, None),
        ({**GOOD, "n": "!"}, None),
        ({**GOOD, "n": ""}, None),
        ({**GOOD, "e": "AA"}, None),
        ({**GOOD, "kty": "EC"}, None),
        ({**GOOD, "kty": ["RSA"]}, None),
        ({"kty": "oct", "k": "AQAB", "kid": "a", "use": "sig"}, None),
        ({"kty": "OKP", "crv": "Ed25519", "x": "AQAB", "kid": "a"}, None),
        (jwk(rsa_key("short", 1024), "a"), None),
        (EC, {"ES256"}),
        (jwk(ec_key("ES384"), "a"), {"ES384"}),
        (jwk(ec_key("ES512"), "a"), {"ES512"}),
        ({**EC, "alg": "ES384"}, None),
        ({**EC, "crv": "P-384"}, None),
        ({**EC, "crv": "secp256k1"}, None),
        ({**EC, "x": EC["y"]}, None),
        ({**EC, "kty": "RSA"}, None),
        ({}, None),
        ("a", None),
        (None, None),
    ],
)
def test_an_entry_is_a_key_for_the_algorithms_that_it_fits_or_none(entry: Any, algorithms: set[str] | None) -> None:
    keys = parse_keys({"keys": [entry, GOOD]})
    assert [set(key.algorithms) for key in keys] == ([] if algorithms is None else [algorithms]) + [set(RSA)]


@pytest.mark.parametrize("document", [None, [], "keys", 1, {}, {"keys": None}, {"keys": {}}, {"keys": "a"}])
def test_what_has_no_list_of_keys_is_no_jwks(document: Any) -> None:
    with pytest.raises(ValueError, match="no JWKS"):
        parse_keys(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
MEMBERS = ("kty", "kid", "use", "alg", "n", "e", "crv", "x", "y", "d")


@given(st.sampled_from([GOOD, EC]), st.dictionaries(st.sampled_from(MEMBERS), JSON))
def test_no_entry_makes_a_key_set_fail(entry: dict[str, Any], changed: dict[str, Any]) -> None:
    assert len(parse_keys({"keys": [{**entry, **changed}]})) <= 1
