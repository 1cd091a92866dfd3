"""The built functions count callers without a key by the address that AWS vouches for."""

from collections.abc import Generator
import json
from pathlib import Path
from typing import Any

import pytest

from tests.lambda_.conftest import function, written
from tests.lambda_.emulator import Function
from tests.lambda_.events import SHAPES, Call, Pairs, event
from tests.parts.upstream import FakeUpstream

CHAT = {"model": "vllm/m", "messages": [{"role": "user", "content": "hi"}]}
LIMIT = 2
ADDRESSES = {shape: f"198.51.100.{number}" for number, shape in enumerate(SHAPES, 1)}

every_shape = pytest.mark.parametrize("shape", SHAPES)


def quota(folder: Path, **limits: int) -> dict[str, Any]:
    return {"kvstore": {"type": "sqlite", "db_path": str(folder / "quota.db")}, "period": "month", **limits}


@pytest.fixture(scope="module")
def counted(
    packages: dict[str, Path], upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Function]:
    """`functions.inference`, open to all, with a quota for each address."""
    folder = tmp_path_factory.mktemp("counted")
    limits = quota(folder, anonymous_max_requests=LIMIT)
    yield from function("inference", packages, written(folder, upstream, {"quota": limits}))


def chat(shape: str, headers: Pairs) -> dict[str, Any]:
    return event(shape, Call("POST", "/v1/chat/completions", json.dumps(CHAT), headers))


def forged(address: str) -> Pairs:
    return [("X-Forwarded-For", address), ("Forwarded", f"for={address}"), ("X-Real-Ip", address)]


def sent_from(sent: dict[str, Any], address: str) -> dict[str, Any]:
    """The event, as AWS makes it for a client with this address."""
    context = sent["requestContext"]
    (context["identity"] if "identity" in context else context["http"])["sourceIp"] = address
    return sent


@every_shape
def test_addresses_in_headers_win_no_further_call(counted: Function, shape: str) -> None:
    answers = [
        counted.invoke(sent_from(chat(shape, forged(f"192.0.2.{number}")), ADDRESSES[shape]))
        for number in range(LIMIT + 1)
    ]
    assert [answer["statusCode"] for answer in answers] == [200] * LIMIT + [429]
    assert [answer["headers"]["ratelimit-remaining"] for answer in answers[:LIMIT]] == ["1", "0"]
    assert json.loads(answers[-1]["body"]) == {"error": {"message": "Quota exceeded"}}
    assert int(answers[-1]["headers"]["retry-after"]) > 0


@every_shape
def test_addresses_in_headers_take_nothing_from_whose_they_are(counted: Function, shape: str) -> None:
    victim, attacker = f"203.0.113.{SHAPES.index(shape) + 100}", f"203.0.113.{SHAPES.index(shape) + 200}"
    counted.invoke(sent_from(chat(shape, forged(victim)), attacker))
    answer = counted.invoke(sent_from(chat(shape, []), victim))
    assert (answer["statusCode"], answer["headers"]["ratelimit-remaining"]) == (200, str(LIMIT - 1))
