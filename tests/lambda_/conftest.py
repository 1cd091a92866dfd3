"""The built packages, an upstream with fixed answers, and both functions in the real runtime; all once for a run."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from infra.build import BuildRequest
from infra.local.parts import in_ci
from infra.package import package
from tests.lambda_ import emulator, ministack
from tests.lambda_.emulator import Function, Missing
from tests.parts.secrets import hear_file
from tests.parts.shared import SharedParts
from tests.parts.upstream import FakeUpstream, in_thread

FUNCTIONS = {"inference": "InferenceFunction", "admin": "AdminFunction"}
PART = "The real Lambda runtime is what tests/lambda_ is about, and CI must have it"


def needs[T](part: Callable[[], T]) -> T:
    """The part; skips the test where it is missing, but fails in CI."""
    try:
        return part()
    except Missing as missing:
        if in_ci():
            pytest.fail(f"{PART}: {missing}")
        pytest.skip(str(missing))


@contextmanager
def build_all(architecture: str) -> Generator[dict[str, Path]]:
    with TemporaryDirectory() as name:
        packages = {module: Path(name) / module for module in FUNCTIONS}
        for module, folder in packages.items():
            package(BuildRequest(module, folder, architecture=architecture))
        yield packages


@pytest.fixture(scope="session")
def packages(parts: SharedParts) -> dict[str, Path]:
    """Each function's package by its module's name, built for this machine with the `lambda` distribution.

    Its zip and its bill of materials are beside it.
    """
    architecture = needs(emulator.architecture)
    needs(emulator.uv)
    return parts.get(build_all, architecture)


@pytest.fixture(scope="session")
def cloud(parts: SharedParts) -> ministack.Cloud:
    return needs(lambda: parts.get(ministack.running))


@pytest.fixture(scope="session")
def upstream() -> Generator[FakeUpstream]:
    """The fixed-answer upstream; the functions are processes of their own."""
    with in_thread(FakeUpstream()) as fake:
        yield fake


def written(folder: Path, upstream: FakeUpstream, server: dict[str, Any]) -> Path:
    """A run config as the build compiles it, over the fixed-answer upstream; the state is SQLite's."""
    provider = {"provider_id": "vllm", "provider_type": "remote::vllm", "config": {"url": f"{upstream.url}/v1"}}
    document = {
        "version": 2,
        "image_name": "emulated",
        "apis": ["inference"],
        "providers": {"inference": [provider]},
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
        "server": server,
    }
    path = folder / "run.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def function(module: str, packages: dict[str, Path], config: Path) -> Generator[Function]:
    """The built function with another run config, in the real runtime."""
    needs(emulator.emulator)
    environment = {"LLAMBDA_CONFIG": str(config)}
    log = config.parent / f"{module}.log"
    with emulator.running(packages[module], f"functions.{module}.handler", environment, log) as running:
        yield running
    hear_file(log)


@pytest.fixture(scope="session")
def run_config(upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An open stack: no auth, no quota."""
    return written(tmp_path_factory.mktemp("config"), upstream, {})


@pytest.fixture(scope="session")
def inference(packages: dict[str, Path], run_config: Path) -> Generator[Function]:
    """`functions.inference` in the real runtime."""
    yield from function("inference", packages, run_config)


@pytest.fixture(scope="session")
def admin(packages: dict[str, Path], run_config: Path) -> Generator[Function]:
    """`functions.admin` in the real runtime."""
    yield from function("admin", packages, run_config)
