"""What was compiled with the package does what Python would compile, and is used only where it fits."""

from importlib import import_module
import json
import marshal
import os
from pathlib import Path
import re
import subprocess
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.runtime.coldstart import FILE, MADE_BY, sre
from infra import precompile

MODULES = (
    "core.errors", "core.apis.native", "core.config.load", "core.providers.http.guarded",
    "core.providers.http.upstream", "core.runtime.stream",
)  # fmt: skip
PROGRAM = """
import gc, json, sys
from pathlib import Path
from infra.data_classes import is_written
from core.runtime import coldstart
coldstart.begin(Path(sys.argv[1]))
off = not gc.isenabled()
methods = coldstart.marshal.loads(Path(sys.argv[2]).read_bytes())[1]
run, anew = coldstart.dataclasses.__dict__.get("exec", exec), []
def heard(source, *names):
    if source not in methods and not is_written(sys._getframe(1).f_locals["cls"]):
        anew.append(source)
    run(source, *names)
coldstart.dataclasses.exec = heard
from core.providers.http.guarded import GuardedRequest
from dataclasses import FrozenInstanceError
import re
one, same, other = (GuardedRequest("GET", path, ()) for path in ("/a", "/a", "/b"))
assert one == same != other and hash(one) == hash(same)
assert repr(one) == "GuardedRequest(method='GET', url='/a', follow=True)"
try:
    one.url = "x"
    frozen = False
except FrozenInstanceError:
    frozen = True
assert re.compile("(a)(?P<b>.)", re.I).match("AB").groupdict() == {"b": "B"}
assert re.compile(re.compile("x")).match("x") and re.compile(b"x").match(b"x")
coldstart.end()
print(json.dumps({"off": off, "frozen": frozen, "anew": anew, "on": gc.isenabled(), "kept": gc.get_freeze_count() > 0}))
"""
USED = {"off": True, "frozen": True, "anew": [], "on": True, "kept": True}


def made(file: Path, seed: str = "0") -> bytes:
    command = [sys.executable, "-P", precompile.__file__, str(file), *MODULES]
    subprocess.run(command, env={"PATH": os.environ["PATH"], "PYTHONHASHSEED": seed}, check=True)
    return file.read_bytes()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("precompiled") / "precompiled.bin"
    made(path)
    return path


def told(file: Path, *, beside: Path | None = None) -> dict[str, Any]:
    command = [sys.executable, "-c", PROGRAM, str(file), str(beside or file)]
    run = subprocess.run(command, cwd=precompile.ROOT, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_classes_and_patterns_are_as_python_compiles_them_and_none_is_compiled_anew(file: Path) -> None:
    assert told(file) == USED


def test_the_same_modules_give_the_same_bytes(file: Path, tmp_path: Path) -> None:
    assert made(tmp_path / "again.bin") == file.read_bytes()


def test_without_the_file_nothing_changes(file: Path, tmp_path: Path) -> None:
    found = told(tmp_path / "none.bin", beside=file)
    assert (found["off"], found["frozen"], found["on"], found["kept"]) == (False, True, True, False)


def test_what_another_python_compiled_is_not_used(file: Path, tmp_path: Path) -> None:
    _, methods, patterns = marshal.loads(file.read_bytes())  # noqa: S302 - made above
    poisoned = dict.fromkeys(methods, marshal.dumps(compile("raise SystemExit(3)", "poison", "exec")))
    other: Any = (("cpython-399", *MADE_BY[1:]), poisoned, patterns)
    (tmp_path / "other.bin").write_bytes(marshal.dumps(other))
    assert told(tmp_path / "other.bin", beside=file) == USED


def test_what_this_python_compiled_is_what_runs(file: Path, tmp_path: Path) -> None:
    made_by, methods, patterns = marshal.loads(file.read_bytes())  # noqa: S302 - made above
    mark = marshal.dumps(compile("raise SystemExit(3)", "marked", "exec"))
    marked = {source: mark if source.startswith("def __create_fn__") else code for source, code in methods.items()}
    (tmp_path / "marked.bin").write_bytes(marshal.dumps((made_by, marked, patterns)))
    with pytest.raises(subprocess.CalledProcessError) as failure:
        told(tmp_path / "marked.bin")
    assert failure.value.returncode == 3


def test_a_pattern_that_this_python_compiled_is_what_is_found(tmp_path: Path) -> None:
    sources: Any = import_module("re._compiler"), import_module("re._parser")
    code = [int(each) for each in sources[0]._code(sources[1].parse("other"), 0)]
    patterns = {("marked", 0): marshal.dumps(("marked", 32, code, 0, {}, (None,)))}
    (tmp_path / "marked.bin").write_bytes(marshal.dumps((MADE_BY, {}, patterns)))
    program = (
        "import sys, pathlib, core.runtime.coldstart as c; c.begin(pathlib.Path(sys.argv[1]));"
        "import re; assert re.compile('marked').match('other') and re.compile('(a)').match('a')"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "marked.bin")]
    subprocess.run(command, cwd=precompile.ROOT, check=True)


def test_classes_of_attrs_are_in_the_file_too(file: Path) -> None:
    methods = marshal.loads(file.read_bytes())[1]  # noqa: S302 - made above
    code = [marshal.loads(content) for content in methods.values()]  # noqa: S302 - likewise
    assert sum(one.co_filename.startswith(precompile.ATTRS) for one in code) > 20


def test_a_checkout_has_no_such_file() -> None:
    assert not FILE.exists()


@given(text=st.text(max_size=40), data=st.data())
def test_a_pattern_from_the_file_finds_what_it_did(text: str, data: st.DataObject, file: Path) -> None:
    patterns = marshal.loads(file.read_bytes())[2]  # noqa: S302 - made above
    texts = sorted((key for key in patterns if isinstance(key[0], str)), key=str)
    pattern, flags = data.draw(st.sampled_from(texts))
    precompiled = sre.compile(*marshal.loads(patterns[pattern, flags]))  # noqa: S302 - made above
    ordinary = re.compile(pattern, flags)
    assert (precompiled.pattern, precompiled.flags, precompiled.groups) == (pattern, ordinary.flags, ordinary.groups)
    assert precompiled.groupindex == ordinary.groupindex
    assert [found.span() for found in precompiled.finditer(text)] == [found.span() for found in ordinary.finditer(text)]
