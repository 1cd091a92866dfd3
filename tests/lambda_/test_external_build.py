"""An external provider is in the package of the function that has it, and answers there; a build of it can be repeated."""

from importlib import invalidate_caches
import json
import os
from pathlib import Path
import subprocess
import sys

import pytest

from core.cli.providers.new import NewPackage, files, write
from infra.build import BuildRequest
from infra.package import package
from tests.lambda_ import emulator
from tests.lambda_.conftest import needs
from tests.parts import reference

ASK = """
import asyncio, json, sys
sys.path.insert(0, sys.argv[1])
from functions.inference import app
from core.runtime.loop import process_loop
body = json.dumps({"model": "echo-it/echo", "messages": [{"role": "user", "content": "Hello."}]}).encode()
given = [{"type": "http.request", "body": body, "more_body": False}]
sent = []
async def receive():
    return given.pop() if given else await asyncio.Event().wait()
async def send(message):
    sent.append(message)
headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http"}
scope |= {"path": "/v1/chat/completions", "raw_path": b"/v1/chat/completions", "root_path": "", "query_string": b""}
scope |= {"headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2)}
process_loop().run_until_complete(asyncio.wait_for(app(scope, receive, send), 30))
assert "yaml" not in sys.modules
print(b"".join(message.get("body", b"") for message in sent).decode())
"""


@pytest.fixture
def run_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a provider package as `llambda providers new` writes it, installed."""
    wanted = NewPackage("echo-it", "inference", "inline")
    write(tmp_path / "source", files(wanted))
    info = tmp_path / "source" / "llambda_provider_echo_it-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: llambda-provider-echo-it\nVersion: 0.1.0\n")
    (info / "RECORD").write_text("llambda_provider_echo_it/__init__.py,,\n")
    monkeypatch.syspath_prepend(str(tmp_path / "source"))
    monkeypatch.chdir(tmp_path / "source")
    invalidate_caches()
    return tmp_path / "source" / "run.yaml"


@pytest.mark.exact
def test_it_answers_from_the_package_alone_and_is_built_the_same_each_time(
    run_config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    architecture = needs(emulator.architecture)
    needs(emulator.uv)
    made = [
        package(BuildRequest("inference", tmp_path / f"{n}" / "inference", run_config, architecture)) for n in range(2)
    ]
    assert "unlocked: llambda-provider-echo-it==0.1.0, taken as installed" in capfd.readouterr().err
    assert all(one.weight.sha256 == made[0].weight.sha256 for one in made)
    assert made[0].dependencies["llambda-provider-echo-it"] == "0.1.0"
    assert not {"aiohttp", "pyyaml", "pyjwt"} & set(made[0].dependencies)
    folder = made[0].folder
    assert json.loads((folder / "run.json").read_text())["external_providers_dir"] == "providers.d"
    environment = {"PATH": os.environ["PATH"], "LLAMBDA_CONFIG": "run.json", "HOME": str(tmp_path)}
    command = [sys.executable, "-I", "-S", "-c", ASK, str(folder)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "You said: Hello."


def test_a_package_for_llama_stack_finds_its_names_in_the_package_of_its_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = needs(emulator.architecture)
    needs(emulator.uv)
    (tmp_path / "source").mkdir()
    reference.install(tmp_path / "source", "reference_built", reference.NEW_INFERENCE)
    monkeypatch.syspath_prepend(str(tmp_path / "source"))
    invalidate_caches()
    entry: dict[str, object] = {
        "provider_id": "echo-it",
        "provider_type": "inline::parrot",
        "module": "reference_built",
        "config": {},
    }
    document = {"version": 2, "image_name": "t", "apis": ["inference"], "providers": {"inference": [entry]}}
    document |= {"metadata_store": {"type": "sqlite", "db_path": str(tmp_path / "registry.db")}}
    (tmp_path / "run.json").write_text(json.dumps(document))
    made = package(BuildRequest("inference", tmp_path / "out" / "inference", tmp_path / "run.json", architecture))
    assert "aiohttp" not in made.dependencies
    environment = {"PATH": os.environ["PATH"], "LLAMBDA_CONFIG": "run.json", "HOME": str(tmp_path)}
    ask = ASK.replace("echo-it/echo", "echo-it/p")
    command = [sys.executable, "-I", "-S", "-c", ask, str(made.folder)]
    done = subprocess.run(
        command, cwd=made.folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "hello, Hello., None, None"
