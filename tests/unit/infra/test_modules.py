"""Modules in one file are imported as if each had its own, and what must have its own keeps it."""

from importlib.util import MAGIC_NUMBER
import json
import marshal
from pathlib import Path
import shutil
import subprocess
import sys
from typing import Any

import pytest

from core.runtime import packed
from infra.archive import parts_of
from infra.modules import pack, read_code, read_places

OURS = Path(packed.__file__)
SOURCES = {
    "lib/__init__.py": "from lib.inner.deep import NAME\n",
    "lib/inner/__init__.py": "",
    "lib/inner/deep.py": "NAME = __name__\n\n\ndef fail():\n    raise ValueError(__file__)\n",
    "lib/loose/part.py": "NAME = __name__\n",  # in a folder that is no package by an __init__
    "alone.py": "import lib\n",
    "foreign.py": "from pathlib import Path\n\nHERE = Path(__file__).exists()\n",
    "starlette/routing.py": "",
    "core/__init__.py": "",
    "core/errors.py": "",
    "core/apis/__init__.py": "",
    "core/apis/manifests/__init__.py": "",
    "core/apis/manifests/inference.py": "",
    "core/runtime/__init__.py": "",
    "core/runtime/packed.py": OURS.read_text("utf-8"),
    "core/web/__init__.py": "",
    "core/web/app.py": "",
}
NAMES = {"alone", "lib", "core", "starlette"}
PACKED = {"alone", "lib", "lib.inner", "lib.inner.deep", "core.apis", "core.web", "core.web.app"}
PROGRAM = """
import importlib, importlib.resources, json, sys, traceback
sys.path.insert(0, sys.argv[1])
import core.runtime.packed
import alone, foreign, lib.loose.part
from lib.inner import deep
try:
    deep.fail()
except ValueError as failure:
    frame, text = traceback.extract_tb(failure.__traceback__)[-1], str(failure)
print(json.dumps({
    "names": [deep.NAME, lib.NAME, lib.loose.part.NAME], "foreign": foreign.HERE,
    "file": deep.__file__, "path": list(lib.inner.__path__), "package": deep.__package__, "raised": text,
    "frame": [frame.filename, frame.lineno], "data": importlib.resources.files("lib").joinpath("data.txt").read_text(),
    "again": importlib.reload(deep).NAME, "missing": importlib.util.find_spec("lib.inner.none") is None,
}))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name, source in SOURCES.items():
        path = (tmp_path / name).with_suffix(".pyc")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(MAGIC_NUMBER + b"\x01" + bytes(11) + marshal.dumps(compile(source, name, "exec")))
    (tmp_path / "lib" / "data.txt").write_text("data")
    return tmp_path


def run(package: Path, program: str = PROGRAM, *arguments: str) -> Any:
    command = [sys.executable, "-I", "-S", "-c", program, str(package), *arguments]
    done = subprocess.run(command, cwd=package, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_packed_modules_are_as_those_in_files(package: Path) -> None:
    before = run(package)
    pack(package, NAMES)
    after = run(package)
    assert after == before
    assert after["file"] == str(package / "lib" / "inner" / "deep.pyc")
    assert (after["foreign"], after["data"], after["frame"]) == (True, "data", ["lib/inner/deep.py", 5])


def test_what_is_read_before_the_file_and_what_is_not_ours_stays(package: Path) -> None:
    pack(package, NAMES)
    assert read_places(package).keys() == PACKED
    left = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert left == {packed.FILE, "lib/data.txt"} | {
        Path(name).with_suffix(".pyc").as_posix()
        for name in SOURCES
        if Path(name).with_suffix("").as_posix().removesuffix("/__init__").replace("/", ".") not in PACKED
    }
    assert not (package / "lib" / "inner").exists()  # nothing is left in it
    assert marshal.loads(read_code(package, "lib.inner.deep")).co_names  # noqa: S302 - made above


def test_the_same_files_give_the_same_bytes(package: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = shutil.copytree(package, tmp_path_factory.mktemp("other") / "package")
    pack(package, NAMES)
    pack(other, NAMES)
    assert (package / packed.FILE).read_bytes() == (other / packed.FILE).read_bytes()


def test_sizes_are_told_by_library(package: Path) -> None:
    before = parts_of(package)
    pack(package, NAMES)
    after = parts_of(package)
    assert after.keys() == (before.keys() | {packed.FILE, "alone"}) - {"alone.pyc"}
    assert 0 < before["lib"] - after["lib"] <= 3 * 16  # the headers of three modules
    assert after[packed.FILE] == (package / packed.FILE).stat().st_size - sum(
        length for _, length, _ in read_places(package).values()
    )


def test_a_folder_without_the_file_has_no_places_and_changes_nothing(tmp_path: Path) -> None:
    before = list(sys.meta_path)
    packed.use(str(tmp_path))
    assert sys.meta_path == before
    assert not read_places(tmp_path)


FOREIGN_PARENT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import core.runtime.packed
sys.path.insert(0, sys.argv[2])
sys.modules.pop("lib", None)
import types
lib = types.ModuleType("lib")
lib.__path__ = [sys.argv[2] + "/lib"]
sys.modules["lib"] = lib
from lib import inner
print(json.dumps(inner.__file__))
"""


def test_a_package_that_came_from_elsewhere_gets_none_of_ours(package: Path, tmp_path: Path) -> None:
    pack(package, NAMES)
    other = tmp_path / "layer" / "lib"
    other.mkdir(parents=True)
    (other / "inner.py").touch()
    assert run(package, FOREIGN_PARENT, str(other.parent)) == str(other / "inner.py")


HOOKED = """
import json, sys
sys.path.insert(0, sys.argv[1])
class Tracer:
    seen = []
    def find_spec(self, name, path=None, target=None):
        self.seen.append(name)
sys.meta_path.insert(0, Tracer())
import core.runtime.packed
import lib
print(json.dumps([name for name in Tracer.seen if name.startswith("lib")]))
"""


def test_who_looked_for_modules_before_is_asked_before(package: Path) -> None:
    pack(package, NAMES)
    assert run(package, HOOKED) == ["lib", "lib.inner", "lib.inner.deep"]
