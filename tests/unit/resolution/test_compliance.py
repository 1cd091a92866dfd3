"""An external provider is held to its Protocol, with everything that is wrong in one message."""

from functools import partial, wraps
from typing import Any, Protocol

import pytest

from core.apis.inference import InferenceProvider
from core.resolution.external.compliance import NotCompliant, check_compliance
from tests.fakes import FakeProvider


class Port(Protocol):
    async def one(self, request: str) -> str: ...

    async def two(self) -> str: ...


class Wider(Port, Protocol):
    async def three(self, a: int, *, b: int) -> str: ...


class Good:
    async def one(self, request: str, extra: int = 0) -> str:
        return request * extra

    async def two(self) -> str:
        return ""

    async def three(self, **anything: Any) -> str:
        return str(anything)


class Bad(Wider):
    one = "not a method"  # type: ignore[assignment]

    async def three(self, a: int) -> str:  # type: ignore[override,explicit-override]
        return str(a)


class Empty:
    pass


def test_a_provider_that_keeps_its_protocol_passes() -> None:
    check_compliance("p", Good(), Wider)
    check_compliance("p", FakeProvider(), InferenceProvider)


def test_everything_that_is_wrong_is_in_one_message() -> None:
    with pytest.raises(NotCompliant) as refusal:
        check_compliance("p", Bad(), Wider)  # type: ignore[abstract]
    assert refusal.value.faults == [
        ("one", "not callable"),
        ("three", "signature mismatch: no parameter b"),
        ("two", "not actually implemented"),
    ]
    assert "provider `p` does not keep the protocol `Wider`" in str(refusal.value)
    assert "two: not actually implemented" in str(refusal.value)


def test_missing_methods_are_named_bases_included() -> None:
    with pytest.raises(NotCompliant) as refusal:
        check_compliance("p", Empty(), Wider)
    assert refusal.value.faults == [("one", "missing"), ("three", "missing"), ("two", "missing")]


class Odd:
    """Each method is wrong in a way of its own."""

    def one(self, request: str) -> str:
        return request

    async def two(self) -> Any:
        yield ""

    async def three(self, a: int, b: int, more: int) -> str:
        return str(a + b + more)


def test_what_is_not_awaited_as_the_protocol_awaits_it_is_named() -> None:
    with pytest.raises(NotCompliant) as refusal:
        check_compliance("p", Odd(), Wider)
    faults = dict(refusal.value.faults)
    assert faults["one"] == "must be `async def`"
    assert "yield" in faults["two"]
    assert faults["three"] == "signature mismatch: nobody gives it more; give it a default"


class Called:
    async def __call__(self, request: str) -> str:
        return request


class Wrapped:
    """Coroutine functions, though none is an `async def` of the class."""

    def __init__(self) -> None:
        self.one = Called()
        self.two = partial(Good.two, Good())

    @wraps(Good.three)
    def three(self, **anything: Any) -> Any:
        return Good().three(**anything)


def test_what_wraps_a_coroutine_function_is_one() -> None:
    check_compliance("p", Wrapped(), Wider)


def test_what_may_be_missing_is_not_missed() -> None:
    check_compliance("p", Good(), Wider, without=("two",))
    check_compliance("p", Empty(), Wider, without=("one", "two", "three"))
