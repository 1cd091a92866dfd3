"""How the streaming runtime starts and ends: its app, SnapStart, what it says and exits with when it cannot."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
import logging
import os
from pathlib import Path
import runpy
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
import snapshot_restore_py  # type: ignore[import-untyped]

from core.runtime import snapshot, stream
from core.runtime.invocations import RuntimeApi
from core.runtime.loop import process_loop
from tests.lambda_.events import Call, event
from tests.lambda_.runtime_api import RuntimeApiDouble
from tests.lambda_.streaming import in_thread, started

ROOT = Path(__file__).resolve().parents[2]
GET = event("http", Call())
SNAP_START = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}

APP = """
import os, signal
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

order = []

async def hello(request):
    if request.method == "DELETE":
        os.kill(os.getpid(), signal.SIGTERM)
    return PlainTextResponse(",".join(order))

@asynccontextmanager
async def lifespan(app):
    order.append("up")
    yield
    order.append("down")

app = Starlette(routes=[Route("/v1/models", hello, methods=["GET", "DELETE"])], lifespan=lifespan)
"""
HOOKS = """
from snapshot_restore_py import register_after_restore, register_before_snapshot
register_before_snapshot(order.append, "before 1")
register_before_snapshot(order.append, "before 2")
register_after_restore(order.append, "after 1")
register_after_restore(order.append, "after 2")
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules are imported from; nothing of it, nor of SnapStart's registry, outlives the test."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(snapshot_restore_py, "_before_snapshot_registry", [])
    monkeypatch.setattr(snapshot_restore_py, "_after_restore_registry", [])
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def double() -> Iterator[RuntimeApiDouble]:
    with in_thread() as (up, _):
        yield up


def module(home: Path, text: str) -> str:
    (home / "mine.py").write_text(text, encoding="utf-8")
    return "mine.handler"


def start(double: RuntimeApiDouble, handler: str, **variables: str) -> Any:
    """The app that it would serve."""
    api = RuntimeApi(double.address)
    try:
        return stream.start(api, {"_HANDLER": handler, **variables}, AsyncExitStack())
    finally:
        process_loop().run_until_complete(api.close())


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """What the runtime sets for its whole process, it would set for every later test."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, threading.excepthook, sys.unraisablehook
    yield
    root.handlers[:], level, threading.excepthook, sys.unraisablehook = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def run(double: RuntimeApiDouble, monkeypatch: pytest.MonkeyPatch, **variables: str) -> int:
    for name, value in {"AWS_LAMBDA_RUNTIME_API": double.address, **variables}.items():
        monkeypatch.setenv(name, value)
    try:
        return stream.main()
    finally:
        process_loop().remove_signal_handler(15)


def test_app_beside_the_handler_is_served_until_sigterm(
    home: Path, double: RuntimeApiDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = double.invoke(GET), double.invoke(event("http", Call("DELETE")))
    assert run(double, monkeypatch, _HANDLER=module(home, APP)) == 0
    assert (first.body, last.body) == (b"up", b"up")
    assert sys.modules["mine"].order == ["up", "down"]


def test_module_is_a_program(home: Path, double: RuntimeApiDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    double.statuses["next"] = 500
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", double.address)
    monkeypatch.setenv("_HANDLER", module(home, APP))
    monkeypatch.delitem(sys.modules, "core.runtime.stream")
    with pytest.raises(SystemExit) as exited:
        runpy.run_module("core.runtime.stream", run_name="__main__")
    process_loop().remove_signal_handler(15)
    assert exited.value.code == 1


def test_handler_may_be_written_with_slashes(home: Path, double: RuntimeApiDouble) -> None:
    (home / "below").mkdir()
    (home / "below" / "mine.py").write_text(APP, encoding="utf-8")
    assert start(double, "below/mine.handler").router.routes


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("import no_such_module", "Runtime.ImportModuleError", "no_such_module"),
        ("from json import nothing", "Runtime.ImportModuleError", "nothing"),
        ("def", "Runtime.UserCodeSyntaxError", "invalid syntax"),
        ("raise RuntimeError('too early')", "RuntimeError", "too early"),
        ("import sys; sys.exit('bye')", "SystemExit", "bye"),
        ("", "NoApp", "no Starlette app"),
        ("app = 1", "NoApp", "no Starlette app"),
        (APP.replace("yield", "raise LookupError('at the start')\n    yield"), "LookupError", "at the start"),
    ],
)
def test_init_that_fails_is_reported_with_its_type_and_ends_with_1(
    text: str, error: str, said: str, home: Path, double: RuntimeApiDouble
) -> None:
    with pytest.raises(SystemExit) as exited:
        start(double, module(home, text))
    assert exited.value.code == 1
    [(path, body)] = double.heard
    assert path == "init/error"
    assert body["errorType"] == body["header"] == error
    assert said in body["errorMessage"]


@pytest.mark.parametrize("handler", ["", "handler", "no.such.module.handler"])
def test_handler_that_names_no_module_is_an_init_error(handler: str, double: RuntimeApiDouble) -> None:
    with pytest.raises(SystemExit):
        start(double, handler)
    assert double.heard[0][1]["errorType"] in {"NoApp", "Runtime.ImportModuleError"}


@pytest.mark.parametrize("status", [403, 500])
def test_init_error_that_cannot_be_reported_ends_it_too(
    status: int, home: Path, double: RuntimeApiDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    double.statuses["error"] = status
    handler = module(home, "raise RuntimeError")
    if status == 500:
        assert run(double, monkeypatch, _HANDLER=handler) == 1
    else:
        with pytest.raises(SystemExit):
            run(double, monkeypatch, _HANDLER=handler)


def test_runtime_api_that_is_not_there_is_one_line_and_exit_code_1(
    home: Path, double: RuntimeApiDouble, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    double.statuses["next"] = 500
    assert run(double, monkeypatch, _HANDLER=module(home, APP)) == 1
    assert "answered 500" in caplog.text


def test_snapshot_is_taken_between_the_hooks(home: Path, double: RuntimeApiDouble) -> None:
    double.restore.set()
    start(double, module(home, APP + HOOKS), **SNAP_START)
    assert sys.modules["mine"].order == ["up", "before 2", "before 1", "after 1", "after 2"]
    assert double.asked == ["GET restore/next"]


def test_restored_environment_asks_over_a_connection_of_its_own(
    home: Path, double: RuntimeApiDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    double.restore.set()
    outcome = double.invoke(event("http", Call("DELETE")))
    assert run(double, monkeypatch, _HANDLER=module(home, APP + HOOKS), **SNAP_START) == 0
    assert outcome.body == b"up,before 2,before 1,after 1,after 2"
    assert double.connections == 2


def test_without_snapstart_no_hook_runs(home: Path, double: RuntimeApiDouble) -> None:
    start(double, module(home, APP + HOOKS), AWS_LAMBDA_INITIALIZATION_TYPE="on-demand")
    assert sys.modules["mine"].order == ["up"]
    assert double.asked == []


@pytest.mark.parametrize(
    ("hook", "code", "path", "error"),
    [
        ("register_before_snapshot", 64, "init/error", "Runtime.BeforeSnapshotError"),
        ("register_after_restore", 65, "restore/error", "Runtime.AfterRestoreError"),
    ],
)
def test_hook_that_fails_is_reported_as_aws_does(
    hook: str, code: int, path: str, error: str, home: Path, double: RuntimeApiDouble
) -> None:
    double.restore.set()
    text = f"{APP}\nimport snapshot_restore_py\n@snapshot_restore_py.{hook}\ndef fail(): raise OSError('stale')\n"
    with pytest.raises(SystemExit) as exited:
        start(double, module(home, text), **SNAP_START)
    assert exited.value.code == code
    assert [(each, body["errorType"], body["errorMessage"]) for each, body in double.heard] == [(path, error, "stale")]


def test_snapshot_that_is_not_restored_ends_it(
    home: Path, double: RuntimeApiDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    double.restore.set()
    double.statuses["restore"] = 500
    assert run(double, monkeypatch, _HANDLER=module(home, APP), **SNAP_START) == 1


def test_where_awss_registry_is_missing_there_are_no_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", None)
    assert (snapshot.before_snapshot(), snapshot.after_restore()) == ([], [])


def ended(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(timeout=30)
    finally:
        process.kill()
        process.wait()


def wrapped(home: Path, address: str, log: Path, **variables: str) -> "subprocess.Popen[bytes]":
    up: subprocess.Popen[bytes] = started(home, "mine.handler", address, {"PYTHONPATH": str(ROOT), **variables}, log)
    return up


def test_wrapper_runs_it_with_lambdas_python_and_serves(tmp_path: Path, double: RuntimeApiDouble) -> None:
    module(tmp_path, APP)
    last = double.invoke(event("http", Call("DELETE")))
    log = tmp_path / "log.txt"
    assert ended(wrapped(tmp_path, double.address, log)) == 0, log.read_text(encoding="utf-8")
    assert last.body == b"up"


def test_wrapper_hands_on_the_exit_code_and_the_log_says_why(tmp_path: Path, double: RuntimeApiDouble) -> None:
    module(tmp_path, "raise RuntimeError('too early')")
    log = tmp_path / "log.txt"
    assert ended(wrapped(tmp_path, double.address, log, AWS_LAMBDA_LOG_LEVEL="TRACE")) == 1
    text = log.read_text(encoding="utf-8")
    assert "init failed" in text
    assert "too early" in text


def test_process_outside_lambda_says_that_there_is_no_runtime_api(tmp_path: Path) -> None:
    module(tmp_path, APP)
    log = tmp_path / "log.txt"
    assert ended(wrapped(tmp_path, "127.0.0.1:1", log)) == 1
    [line] = log.read_text(encoding="utf-8").splitlines()
    assert "127.0.0.1:1 is gone" in line


def test_idle_environment_ends_at_sigterm(tmp_path: Path, double: RuntimeApiDouble) -> None:
    module(tmp_path, APP)
    process = wrapped(tmp_path, double.address, tmp_path / "log.txt")
    until = time.monotonic() + 30
    while not double.asked and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(process.pid, 15)
    assert ended(process) == 0
