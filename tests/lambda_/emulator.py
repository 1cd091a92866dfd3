"""The real Lambda runtime on this machine: AWS's Runtime Interface Emulator around awslambdaric.

The emulator comes inside the SAM CLI's wheel. It does one invocation at a time, as an execution
environment does, and initialises the function at the first.
"""

import atexit
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
import os
from pathlib import Path
import platform
import shutil
import subprocess
import sys
from tempfile import mkdtemp
from typing import Any, Final

import httpx

from infra.local.ports import free_port
from infra.uv import uv as find_uv
from tests.parts.processes import answering
from tests.parts.secrets import hear_file

ROOT: Final = Path(__file__).resolve().parents[2]
SAM: Final = ("tool", "run", "--from", "aws-sam-cli==1.170.0")
ARCHITECTURES: Final = {"x86_64": "x86_64", "aarch64": "arm64"}
READY_SECONDS: Final = 30.0
PATH: Final = "/2015-03-31/functions/function/invocations"
PYTHON: Final = Path(sys.base_prefix) / "bin" / "python3.13"  # which has no packages of its own, as Lambda's
RUNTIME: Final = ("awslambdaric", "runtime_client*.so", "simplejson", "snapshot_restore_py.py")
WHERE: Final = "import pathlib, samcli; print(pathlib.Path(samcli.__file__).parent / 'local' / 'rapid')"


class Missing(Exception):
    """A part cannot be had here; the message says which and why."""


def architecture() -> str:
    """This machine's, in Lambda's terms; raises Missing where Lambda's binaries do not run."""
    if sys.platform != "linux" or platform.machine() not in ARCHITECTURES:
        raise Missing(f"Lambda's runtime is for Linux on arm64 or x86_64, this is {sys.platform} {platform.machine()}")
    return ARCHITECTURES[platform.machine()]


def uv() -> str:
    try:
        return find_uv()
    except FileNotFoundError as failure:
        raise Missing(str(failure)) from None


def emulator() -> Path:
    """The emulator in the SAM CLI's environment, which uv makes when it is not cached."""
    name = f"aws-lambda-rie-{architecture()}"
    found = subprocess.run([uv(), *SAM, "python", "-c", WHERE], check=False, capture_output=True, text=True)
    if found.returncode != 0:
        raise Missing(f"the SAM CLI cannot be installed: {found.stderr.strip().partition('\n')[0]}")
    return Path(found.stdout.strip()) / name


@cache
def runtimes_own() -> Path:
    """What Lambda has beside a package, in a folder for PYTHONPATH."""
    import awslambdaric

    folder, installed = Path(mkdtemp()), Path(awslambdaric.__file__).parents[1]
    atexit.register(shutil.rmtree, folder)
    for pattern in RUNTIME:
        [found] = installed.glob(pattern)
        (folder / found.name).symlink_to(found)
    return folder


@dataclass(frozen=True, slots=True)
class Function:
    """A function that is up; `log` is what it and its runtime print."""

    url: str
    log: Path

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        """The function's answer, as API Gateway would get it."""
        returned: dict[str, Any] = httpx.post(self.url, json=event, timeout=READY_SECONDS).json()
        assert "errorType" not in returned, f"{returned}\n{self.log.read_text(encoding='utf-8')[-2000:]}"
        return returned


@contextmanager
def running(package: Path, handler: str, environment: Mapping[str, str], log: Path) -> Iterator[Function]:
    """`handler` of the built `package`, with nothing of this checkout on its path."""
    url, runtime_api = (f"127.0.0.1:{free_port()}" for _ in range(2))
    command = [str(emulator()), "--runtime-interface-emulator-address", url, "--runtime-api-address", runtime_api]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    env = {**kept, "PYTHONPATH": str(runtimes_own()), "LAMBDA_TASK_ROOT": str(package), **environment}
    whole = [*command, str(PYTHON), "-m", "awslambdaric", handler]
    with answering(whole, f"http://{url}/", log, cwd=package, env=env):
        yield Function(f"http://{url}{PATH}", log)
    hear_file(log)
