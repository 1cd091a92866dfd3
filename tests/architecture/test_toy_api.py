"""Adding an API touches its manifest, its service, its function and its test: here is one that nobody else has heard of."""

from collections.abc import Generator
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys
import time
from typing import Any

import httpx
import pytest

from tests.parts.secrets import hear_file
from tests.parts.stack import address_of

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parent / "toy"
NEW_FILES = {
    "manifest.py.txt": "core/apis/manifests/horoscopes.py",
    "service.py.txt": "core/services/horoscopes.py",
    "function.py.txt": "functions/horoscopes.py",
}
SPEC = {"module": "oracle", "config_class": "oracle.Config"}
RUN_CONFIG = {
    "version": 2,
    "image_name": "toy",
    "apis": ["horoscopes"],
    "providers": {
        "horoscopes": [{"provider_id": "delphi", "provider_type": "inline::oracle", "config": {"mood": "dark"}}]
    },
    "signs": [{"sign_id": "leo", "planet": "sun"}],
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The product with the toy's three files, a provider of it in a package of its own, and a run config."""
    folder = tmp_path_factory.mktemp("toy")
    for room in ("core", "functions", "infra"):
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    for source, place in NEW_FILES.items():
        assert not (folder / place).exists()
        shutil.copy(TOY / source, folder / place)
    shutil.copy(TOY / "oracle.py.txt", folder / "oracle.py")
    spec = folder / "providers.d" / "inline" / "horoscopes" / "oracle.yaml"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps(SPEC))
    places = {
        "external_providers_dir": str(folder / "providers.d"),
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
    }
    (folder / "run.json").write_text(json.dumps(RUN_CONFIG | places))
    return folder


def run(checkout: Path, *arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def client(checkout: Path) -> Generator[httpx.Client]:
    """A client of `llambda serve` with the toy."""
    log = checkout / "log.txt"
    command = [sys.executable, "-m", "core.cli.main", "serve", "run.json", "--port", "0"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=checkout, stdout=output, stderr=output, env=os.environ)
    try:
        with httpx.Client(base_url=address_of(process, log)) as client:
            yield client
    finally:
        process.terminate()
        process.wait(30)
        hear_file(log)


def test_its_run_config_is_valid_with_a_section_of_its_own(checkout: Path) -> None:
    assert "valid (1 provider, 1 resource)" in run(checkout, "-m", "core.cli.main", "config", "validate", "run.json")


def test_it_answers_over_its_providers_and_its_registry(client: httpx.Client) -> None:
    sign = {"sign_id": "virgo", "provider_sign_id": "6", "planet": "mercury"}
    registered = client.post("/v1/signs", json=sign).json()
    assert (registered["identifier"], registered["provider_id"], registered["type"]) == ("virgo", "delphi", "sign")
    assert [row["identifier"] for row in client.get("/v1/signs").json()["data"]] == ["leo", "virgo"]
    assert client.post("/v1/horoscopes", json={"sign": "virgo"}).json() == {"text": "virgo: dark under mercury"}
    assert client.get("/v1/horoscopes/leo").json() == {"planet": "sun"}
    assert client.post("/v1/horoscopes", json={"sign": "pluto"}).status_code == 404
    assert client.post("/v1/horoscopes", json={}).json()["error"]["param"] == "sign"


def test_it_is_listed_described_and_healthy(client: httpx.Client) -> None:
    routes = client.get("/v1/inspect/routes").json()["data"]
    types = {row["route"]: row["provider_types"] for row in routes}
    assert types["/v1/horoscopes"] == types["/v1/signs"] == ["inline::oracle"]
    described = client.get("/openapi.json").json()["components"]["schemas"]
    assert {"ForetellRequest", "Horoscope", "Planet", "ShownResource"} <= set(described)
    [provider] = client.get("/v1/providers").json()["data"]
    assert (provider["api"], provider["health"]) == ("horoscopes", {"status": "OK"})


def test_its_jobs_are_worked_on_as_whoever_made_them(client: httpx.Client, checkout: Path) -> None:
    job = client.post("/v1/almanacs", json={"sign": "leo", "days": 7}).json()["job"]
    done = run(checkout, "-m", "core.cli.main", "jobs", "watch", job, "--json", "--url", str(client.base_url))
    view = json.loads(done)
    assert (view["status"], view["progress"]) == ("completed", {"total": 7, "completed": 7, "failed": 0})
    assert view["result"]["lines"] == [f"{day} leo: dark under sun" for day in range(7)]
    assert [job["id"] for job in client.get("/v1/jobs").json()["data"]] == [job]
    unknown = client.post("/v1/almanacs", json={"sign": "pluto", "days": 2}).json()["job"]
    while (view := client.get(f"/v1/jobs/{unknown}").json())["ended_at"] is None:
        pass
    assert (view["status"], view["progress"]["failed"]) == ("completed", 2)


def test_its_jobs_are_worked_on_by_workers_of_their_own(checkout: Path) -> None:
    log = checkout / "worker.txt"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "core.cli.main", "worker", "run.json"]
        process = subprocess.Popen(command, cwd=checkout, stdout=output, stderr=output, env=os.environ)
    try:
        deadline = time.monotonic() + 30
        while "waiting for jobs" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "waiting for jobs" in log.read_text()
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
    hear_file(log)


def test_its_jobs_are_worked_on_by_the_workers_function(checkout: Path) -> None:
    document: dict[str, Any] = json.loads((checkout / "run.json").read_text())
    document["metadata_store"]["db_path"] = str(checkout / "worker.db")
    (checkout / "worker.json").write_text(json.dumps(document))
    shutil.copy(TOY / "worker_run.py.txt", checkout / "worker_run.py")
    environment = os.environ | {"LLAMBDA_CONFIG": "worker.json"}
    command = [sys.executable, "worker_run.py"]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "completed 4 3 leo: dark under sun\n", done.stderr


def test_the_workers_package_has_what_every_api_with_jobs_can_import(checkout: Path) -> None:
    code = "import json, infra.needs as n; print(*n.needs('worker', open('run.json').read()).modules)"
    modules = set(run(checkout, "-c", code).split())
    assert {"functions.worker", "core.services.horoscopes", "core.stores.queue.sqlite"} <= modules
    assert {"core.stores.jobs.sqlite", "core.stores.blobs.local", "core.services.jobs.ticks"} <= modules


def test_its_package_has_what_it_can_import(checkout: Path) -> None:
    code = "import json, infra.needs as n; print(*n.needs('horoscopes', open('run.json').read()).modules)"
    modules = run(checkout, "-c", code).split()
    assert {"functions.horoscopes", "core.apis.manifests.horoscopes", "core.services.horoscopes"} <= set(modules)
    assert "core.apis.manifests.inference" not in modules


def test_its_manifest_says_how_its_function_is_deployed(checkout: Path) -> None:
    shutil.copy(ROOT / "template.yaml", checkout)
    run(checkout, "-m", "infra.template")
    stanza = (
        (checkout / "template.yaml").read_text().partition("  HoroscopesFunction:\n")[2].partition("Function:\n")[0]
    )
    assert "Handler: functions.horoscopes.handler" in stanza
    assert "MemorySize: 256" in stanza
    assert "Timeout: 29" in stanza
    assert "*ApplyGuardrails" in stanza or "&ApplyGuardrails" in stanza


def test_a_wrong_entry_of_its_section_is_found(checkout: Path) -> None:
    document: dict[str, Any] = json.loads((checkout / "run.json").read_text())
    (checkout / "wrong.json").write_text(json.dumps(document | {"signs": [{"planet": "sun"}]}))
    command = [sys.executable, "-m", "core.cli.main", "config", "validate", "wrong.json"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "signs[0].sign_id: is required" in done.stdout + done.stderr
