"""What is rewritten is still what the table is made for, or the build stops and says so."""

from importlib import import_module
from pathlib import Path
from runpy import run_path
import shutil
from types import ModuleType
from typing import Any

import anyio
import pytest

from infra.rewrite import ANYIO, LAZY_IMPORTS, PARTS, WHOLE, rewrite

NAMES = (*WHOLE, *PARTS, LAZY_IMPORTS)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name in NAMES:
        installed = import_module(name.partition("/")[0]).__file__
        assert installed
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(installed).parent / name.partition("/")[2], tmp_path / name)
    for file in ANYIO.values():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(Path(anyio.__file__).parent / file.partition("/")[2], tmp_path / file)
    return tmp_path


def test_each_row_changes_its_file_into_one_that_compiles(package: Path) -> None:
    before = {name: (package / name).read_text() for name in NAMES}
    rewrite(package)
    for name in NAMES:
        after = (package / name).read_text()
        assert after != before[name]
        compile(after, name, "exec")


def test_a_library_that_is_not_in_the_package_is_left_out(package: Path) -> None:
    shutil.rmtree(package / "botocore")
    rewrite(package)
    assert not (package / "botocore").exists()


def test_anyio_knows_without_its_source_where_its_names_are(package: Path) -> None:
    rewrite(package)
    find: Any = run_path(str(package / LAZY_IMPORTS))["_build_lazy_map"]
    for name in ANYIO:
        assert find(ModuleType(name)) == import_module("anyio._lazyimport")._build_lazy_map(import_module(name))
        assert find(ModuleType(name))[0]


def test_an_anyio_that_does_it_otherwise_stops_the_build(package: Path) -> None:
    (package / LAZY_IMPORTS).write_text("")
    with pytest.raises(ValueError, match=f"{LAZY_IMPORTS} no longer has _build_lazy_map"):
        rewrite(package)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_gone_stops_the_build(package: Path, name: str) -> None:
    (package / name).unlink()
    with pytest.raises(ValueError, match=r"there is no .* to replace: correct infra/rewrite\.py"):
        rewrite(package)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("times", [0, 2])
def test_a_file_that_is_another_stops_the_build(package: Path, name: str, times: int) -> None:
    (package / name).write_text(PARTS[name][0] * times)
    with pytest.raises(ValueError, match=f"{name} no longer has the text that"):
        rewrite(package)


def test_a_dictionary_without_types_is_a_dictionary() -> None:
    names: dict[str, type] = {}
    exec(f"if True:\n{PARTS['pydantic_core/core_schema.py'][1]}", names)  # noqa: S102 - what the package has
    kind = type("Config", (names["TypedDict"],), {}, total=False)
    assert kind(title="a") == {"title": "a"}
    assert type(kind(title="a")) is dict
    assert str(kind | None)
