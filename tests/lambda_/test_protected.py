"""The built functions know callers by their keys or by the address that AWS vouches for, and count them."""

from collections.abc import Generator
import json
from pathlib import Path
import re
from typing import Any

import pytest

from tests.lambda_ import keys
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
def guarded(upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run config with API keys and a quota."""
    folder = tmp_path_factory.mktemp("guarded")
    return written(folder, upstream, {"auth": {"providers": [{"type": "api_key"}]}, "quota": quota(folder)})


@pytest.fixture(scope="module")
def key(guarded: Path) -> str:
    return keys.created("--config", str(guarded), "--name", "smoke")


@pytest.fixture(scope="module")
def inference(packages: dict[str, Path], guarded: Path) -> Generator[Function]:
    yield from function("inference", packages, guarded)


@pytest.fixture(scope="module")
def admin(packages: dict[str, Path], guarded: Path) -> Generator[Function]:
    yield from function("admin", packages, guarded)


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


def bearer(key: str) -> Pairs:
    return [("Authorization", f"Bearer {key}")]


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


@every_shape
@pytest.mark.parametrize("headers", [[], [("Authorization", "Basic Zm9vOmJhcg==")], bearer("llk-nobody")])
def test_without_a_valid_key_the_answer_is_401(inference: Function, shape: str, headers: Pairs) -> None:
    answer = inference.invoke(chat(shape, headers))
    assert answer["statusCode"] == 401
    assert set(json.loads(answer["body"])["error"]) == {"message", "type", "param", "code"}
    assert re.match(r'Bearer error="\w+"', answer["headers"]["www-authenticate"])
    assert not any("ratelimit" in name for name in answer["headers"])


@every_shape
@pytest.mark.parametrize("path", ["/v1/health", "/v1/version", "/v1alpha/admin/health"])
def test_health_and_version_need_no_key(admin: Function, shape: str, path: str) -> None:
    assert admin.invoke(event(shape, Call(path=path)))["statusCode"] == 200


@every_shape
def test_with_its_key_a_client_is_served_and_told_what_is_left(
    inference: Function, admin: Function, key: str, shape: str
) -> None:
    answer = inference.invoke(chat(shape, bearer(key)))
    assert answer["statusCode"] == 200, answer
    left = json.loads(admin.invoke(event(shape, Call(path="/v1/quota", headers=bearer(key))))["body"])
    assert (left["identity"], left["requests"]["limit"]) == ("authenticated", 1000)
    assert str(left["requests"]["remaining"]) == answer["headers"]["ratelimit-remaining"]


def test_key_is_counted_as_one_client_from_every_address(inference: Function, key: str) -> None:
    answers = [inference.invoke(sent_from(chat("rest", bearer(key)), address)) for address in ADDRESSES.values()]
    left = [int(answer["headers"]["ratelimit-remaining"]) for answer in answers]
    assert left == list(range(left[0], left[0] - len(left), -1))
