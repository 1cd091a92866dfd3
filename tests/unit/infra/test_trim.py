"""Of a shared object only what is loaded is kept, and it loads."""

from collections.abc import Iterator
import importlib
from pathlib import Path
import struct
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
import pytest

from infra.trim import ELF, loaded_part, remove, trim

LIBRARIES = ("multidict._multidict", "pydantic_core._pydantic_core")
HEADER_BYTES = 64


def shared_object(name: str) -> Path:
    file = importlib.import_module(name).__file__
    assert file
    if not Path(file).read_bytes().startswith(ELF):
        pytest.skip("no ELF on this system")
    return Path(file)


@pytest.mark.parametrize("name", LIBRARIES)
def test_what_is_left_of_a_library_can_be_loaded(name: str, tmp_path: Path) -> None:
    source = shared_object(name)
    content = loaded_part(source.read_bytes())
    assert len(content) < source.stat().st_size
    (tmp_path / source.name).write_bytes(content)
    code = (
        "import sys; from importlib.util import module_from_spec, spec_from_file_location as at;"
        "spec = at(sys.argv[1], sys.argv[2]); module = module_from_spec(spec); spec.loader.exec_module(module)"
    )
    subprocess.run([sys.executable, "-c", code, name, str(tmp_path / source.name)], check=True)


@pytest.mark.parametrize("name", LIBRARIES)
def test_nothing_is_changed_but_where_sections_are(name: str) -> None:
    before = shared_object(name).read_bytes()
    after = loaded_part(before)
    assert loaded_part(after) == after
    assert after[HEADER_BYTES:] == before[HEADER_BYTES : len(after)]
    assert (after[:40], after[48:58]) == (before[:40], before[48:58])


def elf(segments: list[tuple[int, int]], size: int) -> bytes:
    """A header and `(offset, size in the file)` of each segment, padded to `size`."""
    header = struct.pack("<16sHHIQQQIHHHHHH", ELF, 3, 62, 1, 0, 64, size, 0, 64, 56, len(segments), 64, 9, 8)
    table = b"".join(struct.pack("<IIQQQQQQ", 1, 4, offset, 0, 0, length, length, 8) for offset, length in segments)
    return (header + table).ljust(size, b"x")


def offsets() -> Iterator[st.SearchStrategy[int]]:
    yield st.integers(300, 500)
    yield st.integers(0, 100)


@given(st.lists(st.tuples(*offsets()), min_size=1, max_size=3), st.integers(600, 700))
def test_it_ends_with_its_last_segment(segments: list[tuple[int, int]], size: int) -> None:
    content = elf(segments, size)
    left = loaded_part(content)
    assert len(left) == max(offset + length for offset, length in segments)
    assert struct.unpack_from("<Q", left, 40) == (0,)
    assert struct.unpack_from("<HHH", left, 58) == (0, 0, 0)


@given(st.binary(max_size=80).filter(lambda content: not content.startswith(ELF)))
def test_what_is_no_shared_object_is_left_alone(content: bytes) -> None:
    assert loaded_part(content) == content


def test_tests_stubs_and_servers_go_and_modules_stay(tmp_path: Path) -> None:
    kept = ("aiohttp/client.py", "aiohttp/_http_parser.so", "botocore/data/sts/x.json")
    for name in (*kept, "bin/tool", "aiohttp/tests/a.py", "aiohttp/web_app.py", "aiohttp/x.pyi", "pydantic/v1/main.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    trim(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == set(kept)


def test_what_is_not_there_need_not_be_removed(tmp_path: Path) -> None:
    remove(tmp_path / "nothing")
    remove(tmp_path)
    assert not tmp_path.exists()
