"""Cold starts and memory under the Lambda runtime, of built packages against a bare Starlette + Mangum one."""

from contextlib import ExitStack
import json
from pathlib import Path
import py_compile
import re
from shutil import copytree
from statistics import median
from tempfile import TemporaryDirectory
import time
from typing import Any

from infra.build import Build, build, size_mb
from tests.benchmarks.drip import BEDROCK, VLLM, provider
from tests.benchmarks.processes import started
from tests.benchmarks.table import Row
from tests.lambda_.emulator import Function, architecture, running

ROUNDS = 10
WARM = 50
BARE = """
from mangum import Mangum
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def answer(request: Request) -> JSONResponse:
    await request.body()
    return JSONResponse({"status": "OK"})


handler = Mangum(Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])]), lifespan="off")
"""
CHAT = {"model": "up/bench", "messages": [{"role": "user", "content": "Hi"}]}


def event(method: str, path: str, body: object = None) -> dict[str, Any]:
    http = {"method": method, "path": path, "sourceIp": "127.0.0.1"}
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": http, "stage": "$default"},
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }


FIRST = {
    "bare": event("POST", "/v1/chat/completions", CHAT),
    "inference": event("POST", "/v1/chat/completions", CHAT),
    "inference, Bedrock": event("POST", "/v1/chat/completions", CHAT),
    "admin": event("GET", "/v1/health"),
}
INFERENCE = "functions.inference.handler"
HANDLERS = {
    "bare": "bare.handler",
    "inference": INFERENCE,
    "inference, Bedrock": INFERENCE,
    "admin": "functions.admin.handler",
}
GOALS = {  # what it is measured against, and the goal
    "inference": ("bare", "<= 3.5x"),
    "admin": ("bare", "<= 2.5x"),
    "inference, Bedrock": ("inference", "<= 1.3x"),
}


def cold() -> list[Row]:
    with TemporaryDirectory() as name, started("-m", "tests.benchmarks.drip") as (upstream, _):
        folder = Path(name)
        over_vllm, over_bedrock = (configured(folder, name, upstream) for name in (VLLM, BEDROCK))
        packages = built(folder, over_bedrock)
        configs = dict.fromkeys(packages, over_vllm) | {"inference, Bedrock": over_bedrock}
        environments = {module: {"LLAMBDA_CONFIG": str(config)} for module, config in configs.items()}
        inits: dict[str, list[float]] = {module: [] for module in packages}
        totals: dict[str, list[float]] = {module: [] for module in packages}
        for _ in range(ROUNDS):
            for module, package in packages.items():
                init, total = one_start(module, package, environments[module], folder / "log")
                inits[module].append(init)
                totals[module].append(total)
        rows = [ratio("cold start, init", inits, module) for module in GOALS]
        rows += [ratio("cold start, init + first answer", totals, module) for module in GOALS]
        rows.append(memory(packages["inference"], environments["inference"], folder / "log"))
        return rows + [size(module, packages[module]) for module in ("inference", "admin")]


def ratio(what: str, took: dict[str, list[float]], module: str) -> Row:
    against, goal = GOALS[module]
    ours, floor = median(took[module]), median(took[against])
    return Row(f"{what}: {module}", f"{ours:.0f} ms", f"{floor:.0f} ms", ours / floor, goal)


def size(module: str, package: Path) -> Row:
    found = size_mb(package)
    return Row(f"package, unzipped: {module}", f"{found:.1f} MB", "60 MB", found / 60, "<= 1.0x")


def built(folder: Path, over_bedrock: Path) -> dict[str, Path]:
    """The packages as they are deployed, and the floor with the same libraries and byte code."""
    build(Build("inference", folder / "bedrock", config=over_bedrock, architecture=architecture()))
    for module in ("inference", "admin"):
        build(Build(module, folder / module, architecture=architecture()))
    bare = folder / "bare"
    copytree(folder / "admin", bare)
    (bare / "bare.py").write_text(BARE)
    py_compile.compile(str(bare / "bare.py"), doraise=True)
    packages = {module: folder / module for module in ("bare", "inference", "admin")}
    return packages | {"inference, Bedrock": folder / "bedrock"}


def configured(folder: Path, provider_type: str, upstream: int) -> Path:
    document = {
        "version": 2,
        "image_name": "bench",
        "apis": ["inference"],
        "providers": {"inference": [provider(provider_type, upstream)]},
        "models": [{"model_id": "up/bench", "provider_model_id": "bench"}],
        "metadata_store": {"type": "dynamodb", "table": "registry"},
    }
    config = folder / f"{provider_type.rpartition(':')[2]}.json"
    config.write_text(json.dumps(document))
    return config


def one_start(module: str, package: Path, environment: dict[str, str], log: Path) -> tuple[float, float]:
    """Milliseconds of init as the runtime reports it, and from the first event to its answer, init included."""
    with running(package, HANDLERS[module], environment, log) as function:
        start = time.perf_counter()
        answer = function.invoke(FIRST[module])
        total = (time.perf_counter() - start) * 1e3
        assert answer["statusCode"] == 200, answer
        found = re.search(r"INIT REPORT\(durationMs: ([\d.]+)", log.read_text())
        assert found, log.read_text()
        return float(found[1]), total


def memory(package: Path, environment: dict[str, str], log: Path) -> Row:
    with ExitStack() as stack:
        function: Function = stack.enter_context(running(package, HANDLERS["inference"], environment, log))
        for _ in range(WARM):
            function.invoke(FIRST["inference"])
        used = resident_mb(package)
    return Row(f"memory of inference after {WARM} chats", f"{used:.0f} MB", "100 MB", used / 100, "<= 1.0x")


def resident_mb(package: Path) -> float:
    """Resident megabytes of the process that runs the function of `package`."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            program, *arguments = (process / "cmdline").read_bytes().split(b"\0")
            if (
                b"python" in program.rpartition(b"/")[2]
                and b"awslambdaric" in arguments
                and (process / "cwd").readlink() == package
            ):
                found = re.search(r"VmRSS:\s+(\d+) kB", (process / "status").read_text())
                return int(found[1]) / 1000 if found else 0.0
        except OSError:
            continue
    raise RuntimeError(f"no process runs {package}")
