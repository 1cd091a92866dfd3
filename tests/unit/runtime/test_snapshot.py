"""What an environment made from a snapshot must not share with the others."""

from collections.abc import Callable
import random
import sys
from types import ModuleType

import pytest

from core.runtime import snapshot


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """The hooks that are registered with AWS's registry, which the managed runtime brings along."""
    hooks: list[Callable[[], object]] = []
    module = ModuleType("snapshot_restore_py")
    vars(module)["register_after_restore"] = hooks.append
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", module)
    return hooks


def test_random_numbers_differ_after_each_restore(registered: list[Callable[[], object]]) -> None:
    snapshot.keep_apart()
    state, drawn = random.getstate(), set[float]()
    for _ in range(3):
        random.setstate(state)
        for hook in registered:
            hook()
        drawn.add(random.random())  # noqa: S311 - no secret
    random.setstate(state)
    assert len(drawn) == 3


def test_without_awss_registry_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", None)
    snapshot.keep_apart()
