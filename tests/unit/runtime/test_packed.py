"""Modules that are put off are executed once, at the first look into them."""

from collections.abc import Iterator
from pathlib import Path
import sys
from threading import Barrier, Thread
from typing import Any

import pytest

from core.runtime.packed import PUT_OFF, put_off

SOURCE = """
import time
import {name}_counter
time.sleep(0.05)
{name}_counter.times += 1
value = "value"
from {name}_counter import back
"""


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a module that counts how often it is executed, and that another imports which it imports itself."""
    name = "put_off_for_a_test"
    (tmp_path / f"{name}.py").write_text(SOURCE.format(name=name))
    (tmp_path / f"{name}_counter.py").write_text(f"import {name} as back\ntimes = 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    for module in (name, f"{name}_counter"):
        sys.modules.pop(module, None)


def test_an_import_executes_nothing_and_a_look_does(name: str) -> None:
    put_off([name])
    module: Any = __import__(name)
    assert module.__name__ == name
    assert module.__file__.endswith(f"{name}.py")
    assert f"{name}_counter" not in sys.modules
    assert module.value == "value"
    assert module.put_off_for_a_test_counter.times == 1
    assert module.back is module
    assert "__getattr__" not in vars(module)
    with pytest.raises(AttributeError, match="no attribute 'none'"):
        _ = module.none


def test_from_executes_it(name: str) -> None:
    put_off([name])
    names: dict[str, Any] = {}
    exec(f"from {name} import value", names)  # noqa: S102 - the statement is what is tested
    assert names["value"] == "value"


def test_threads_wait_for_the_one_that_executes_it(name: str) -> None:
    put_off([name])
    module: Any = __import__(name)
    values: list[str] = []
    start = Barrier(8)

    def look() -> None:
        start.wait()
        values.append(module.value)

    threads = [Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == ["value"] * 8
    assert module.put_off_for_a_test_counter.times == 1


def test_what_was_imported_before_is_left_as_it_is_and_what_is_not_there_is_none(name: str) -> None:
    module: Any = __import__(name)
    put_off([name, "no_such_module"])
    assert __import__(name) is module
    assert "__getattr__" not in vars(module)
    assert "no_such_module" not in sys.modules


def test_this_process_puts_nothing_off() -> None:
    assert not [each for each in PUT_OFF if "packed" in str(vars(sys.modules.get(each, sys)).get("__getattr__"))]
