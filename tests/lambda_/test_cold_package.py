"""What shortens a cold start is in the packages, and is used there."""

import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

from tests.lambda_.test_build import ENVIRONMENT, every_function

PROGRAM = """
import sys
before = set(sys.modules)
sys.path.insert(0, sys.argv[1])
from core.runtime import coldstart
import dataclasses, gc, json, marshal
methods, anew = marshal.loads(coldstart.FILE.read_bytes())[1], []
run = dataclasses.exec
def heard(source, *names):
    if source not in methods:
        anew.append(source)
    run(source, *names)
dataclasses.exec = heard
import builtins
compile_ = builtins.compile
def heard_compile(source, filename, *more, **options):
    if str(filename).startswith("<attrs"):
        anew.append(source)
    return compile_(source, filename, *more, **options)
builtins.compile = heard_compile
off = not gc.isenabled()
import importlib
importlib.import_module(sys.argv[2])
loaded = sorted(sys.modules)
from core.runtime.packed import PUT_OFF
put_off = [name for name in PUT_OFF if name not in before]
executed = [name for name in put_off if type(vars(sys.modules[name]).get("__getattr__")).__name__ != "_Execution"]
http = sys.modules.get("aiohttp.connector")
tls = type(http._SSL_CONTEXT_VERIFIED).__name__ if http else None
from aiobotocore.session import get_session
from pydantic.plugin._loader import get_plugins
from pydantic_core.core_schema import CoreConfig
import asyncio
async def documented():
    async with get_session().create_client("dynamodb") as client:
        return client.get_item.__doc__
print(json.dumps({"anew": anew, "off": off, "on": gc.isenabled(), "loaded": loaded, "executed": executed, "tls": tls, "plugins": list(get_plugins()),
                  "config": CoreConfig(title="a"), "documented": asyncio.run(documented())}))
"""
NEVER = {"botocore.docs.client", "botocore.docs.service"}


def told(package: Path, module: str, **variables: str) -> dict[str, Any]:
    command = [sys.executable, "-I", "-S", "-c", PROGRAM, str(package), f"functions.{module}"]
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "eu-west-1"}
    environment = {"PATH": os.environ["PATH"], **keys, **ENVIRONMENT, **variables}
    answer = subprocess.run(command, cwd=package, env=environment, check=False, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


@every_function
def test_no_data_class_is_compiled_and_no_garbage_looked_for(packages: dict[str, Path], module: str) -> None:
    found = told(packages[module], module)
    assert (found["anew"], found["off"], found["on"]) == ([], True, True)


@every_function
def test_what_nobody_asks_at_a_start_is_not_executed(packages: dict[str, Path], module: str) -> None:
    found = told(packages[module], module)
    assert set(found["executed"]) <= ({"http.client", "tempfile"} if module == "inference" else set())
    assert not {"starlette.formparsers", "urllib3.contrib.pyopenssl"} & set(found["loaded"])


@every_function
def test_what_is_rewritten_does_what_it_did_and_loads_less(packages: dict[str, Path], module: str) -> None:
    found = told(packages[module], module)
    assert (found["plugins"], found["config"], found["documented"]) == ([], {"title": "a"}, "")
    assert "pydantic" in found["loaded"]
    assert not NEVER & set(found["loaded"])


def test_certificates_are_put_off_but_for_a_snapshot(packages: dict[str, Path]) -> None:
    assert told(packages["inference"], "inference")["tls"] == "LazyContext"
    snapshot = told(packages["inference"], "inference", AWS_LAMBDA_INITIALIZATION_TYPE="snap-start")
    assert snapshot["tls"] == "SSLContext"
