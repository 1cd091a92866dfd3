"""A zip says what is in a folder, and nothing of when, where or in which order it came there."""

import os
from pathlib import Path
import tempfile
import zipfile

from hypothesis import given
from hypothesis import strategies as st
import pytest

from infra.archive import zip_folder


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o644)
    return folder


def digest(folder: Path) -> str:
    return zip_folder(folder, folder.with_suffix(".zip")).sha256


@given(st.dictionaries(st.from_regex(r"[a-c]{1,2}/[a-c]{1,2}", fullmatch=True), st.binary(max_size=20), max_size=5))
def test_order_and_times_make_no_difference(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        first = write(Path(name) / "first", files)
        second = write(Path(name) / "second", dict(reversed(files.items())))
        first.mkdir(exist_ok=True)
        second.mkdir(exist_ok=True)
        for path in second.rglob("*"):
            os.utime(path, (1, 1))
        assert digest(first) == digest(second)
        assert (Path(name) / "first.zip").read_bytes() == (Path(name) / "second.zip").read_bytes()


@pytest.mark.parametrize("change", ["content", "name", "mode"])
def test_content_names_and_modes_do(tmp_path: Path, change: str) -> None:
    folder = write(tmp_path / "a", {"x/run": b"1"})
    before, file = digest(folder), folder / "x" / "run"
    match change:
        case "content":
            file.write_bytes(b"2")
        case "name":
            file.rename(folder / "x" / "ran")
        case _:
            file.chmod(0o755)
    assert digest(folder) != before


def test_it_can_be_unzipped_with_its_modes_and_is_weighed(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", {"big/b": b"0" * 1000, "small": b"1"})
    (folder / "small").chmod(0o755)
    weight = zip_folder(folder, tmp_path / "a.zip")
    assert (weight.unzipped, weight.parts) == (1001, {"big": 1000, "small": 1})
    assert list(weight.parts) == ["big", "small"]
    assert weight.zipped == (tmp_path / "a.zip").stat().st_size < 1001
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.read("big/b") == b"0" * 1000
        assert archive.getinfo("small").external_attr >> 16 == 0o100755
        assert archive.testzip() is None
