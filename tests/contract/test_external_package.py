"""A provider package in an environment of its own: installed from its folder, served by `llambda serve`, built for Lambda."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
import json
import os
from pathlib import Path
import shutil
import site
import subprocess
import sys
import tomllib
from typing import Any
import venv

import aiohttp
from click.testing import CliRunner
import pytest

from core.cli.providers.command import command
from core.cli.providers.new import APIS
from infra.uv import uv
from tests.contract import external
from tests.contract.external import put
from tests.parts.stack import ROOT, serving
from tests.parts.upstream import FakeUpstream, in_thread

SMALLEST = 8  # files


def new(folder: Path, name: str, *options: str) -> Path:
    """A package as `llambda providers new` writes it."""
    done = CliRunner().invoke(command, ["new", name, *options, "--dir", str(folder)])
    assert done.exit_code == 0, done.output
    return folder / name


@dataclass(frozen=True)
class Installed:
    """A package whose code is in the environment of `python` alone; its specs are in `folder` too."""

    folder: Path
    python: Path


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """In a new environment that sees this one's packages. Nothing is fetched."""
    folder = tmp_path_factory.mktemp("environment")
    package = new(folder, "acme", "--api", "inference")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    own = Path(site.getsitepackages([str(folder / "venv")])[0])
    (own / "seen.pth").write_text(f"{ROOT}\n{Path(pytest.__file__).parents[1]}\n")
    install = [uv(), "pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--python", str(python), str(package)], check=True)
    shutil.rmtree(package / "llambda_provider_acme")  # what is imported now is what was installed
    return Installed(package, python)


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with in_thread(FakeUpstream()) as fake:
        yield fake


def config(folder: Path, acme: Installed, upstream: FakeUpstream, **how: Any) -> Path:
    by_module = {"module": how["module"]} if "module" in how else {}
    settings = {"url": f"{upstream.url}/v1", "api_key": "k-123456"}
    entry = {"provider_id": "a", "provider_type": "remote::acme", "config": settings, **by_module}
    document: dict[str, Any] = {"version": 2, "image_name": "t", "apis": ["inference"]}
    document["providers"] = {"inference": [entry]}
    document["metadata_store"] = {"type": "sqlite", "db_path": str(folder / "registry.db")}
    if not by_module:
        document["external_providers_dir"] = str(acme.folder / "providers.d")
    (folder / "run.json").write_text(json.dumps(document))
    return folder / "run.json"


async def chats(url: str) -> tuple[Any, list[str]]:
    """The whole answer to a chat, and the data of each event of a streamed one."""
    request: dict[str, Any] = {"model": "a/m", "messages": [{"role": "user", "content": "Say hello."}]}
    async with aiohttp.ClientSession(f"{url}/v1/") as session:
        async with session.post("chat/completions", json=request) as response:
            answer = await response.json()
        async with session.post("chat/completions", json={**request, "stream": True}) as response:
            lines = (await response.text()).splitlines()
    return answer, [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]


@pytest.mark.parametrize("how", [{}, {"module": "llambda-provider-acme==0.1.0"}], ids=["directory", "module"])
async def test_it_is_served_and_chats(
    tmp_path: Path,
    acme: Installed,
    upstream: FakeUpstream,
    how: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", str(acme.python))
    with serving(config(tmp_path, acme, upstream, **how), tmp_path / "log.txt") as url:
        answer, events = await chats(url)
    assert answer["choices"][0]["message"]["content"] == "Hello"
    assert events[-1] == "[DONE]"
    deltas = [choice["delta"] for event in events[:-1] for choice in json.loads(event)["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == "Hello"
    assert upstream.seen[-1].headers["authorization"] == "Bearer k-123456"


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        ({}, 0, "ok     a  remote::acme  (remote/inference/acme.yaml)"),
        ({"module": "llambda-provider-acme"}, 0, "ok     a  remote::acme  (module llambda-provider-acme)"),
        ({"module": "llambda-provider-acme==9.9"}, 2, "llambda-provider-acme 0.1.0 is installed; `"),
    ],
)
def test_it_is_checked_where_it_is_installed(
    tmp_path: Path, acme: Installed, upstream: FakeUpstream, how: dict[str, str], code: int, words: str
) -> None:
    run_config = config(tmp_path, acme, upstream, **how)
    arguments = [str(acme.python), "-m", "core.cli.main", "providers", "check", "--config", str(run_config)]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert words in done.stdout.replace("\n       ", " ")  # where a line ends, the length of its path decides


@pytest.mark.parametrize("level", ["debug", "info"])
def test_where_its_import_raised_is_shown_at_debug(tmp_path: Path, level: str) -> None:
    put(tmp_path, "def broken():\n    raise OSError('no disk')\nbroken()\n")
    arguments = [sys.executable, "-m", "core.cli.main", "providers", "check", "--config"]
    variables = os.environ | {"LLAMBDA_LOGGING": f"all={level}", "PYTHONPATH": str(tmp_path)}
    run_config = str(external.run_config(tmp_path, inference=[external.entry()]))
    done = subprocess.run(
        [*arguments, run_config], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "raised OSError: no disk" in done.stdout
    assert ("in broken" in done.stderr) == (level == "debug")


def test_new_packages_are_clean_and_their_tests_pass_as_they_are_written(tmp_path: Path) -> None:
    """In one process for all, where their settings are alike; those of the first are its own."""
    flavours: list[list[str]] = [[], ["--inline"]]
    made = [
        new(tmp_path, f"my-{number}", "--api", api, *flavour)
        for number, (api, flavour) in enumerate(product(APIS, flavours))
    ]
    for package in made:
        assert sum(path.is_file() for path in package.rglob("*")) > SMALLEST
    for how in (["check", "--ignore", "I001"], ["format", "--check", "--line-length", "120"]):
        ruff = [str(Path(sys.executable).with_name("ruff")), *how, "--isolated", str(tmp_path)]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    settings = [tomllib.loads((package / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"] for package in made]
    assert all(one == settings[0] for one in settings)
    check_tests(made[0])
    check_tests(*made[1:])


def check_tests(first: Path, *others: Path) -> None:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    variables["PYTHONPATH"] = os.pathsep.join(map(str, others))
    together = ["--import-mode=importlib", "tests", *(str(package / "tests") for package in others)]
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(together if others else [])]
    done = subprocess.run(tests, cwd=first, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
