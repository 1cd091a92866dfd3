"""Cold starts and memory under the Lambda runtime, of built packages against a bare Starlette + Mangum one."""

from contextlib import ExitStack
from dataclasses import dataclass
import json
import os
from pathlib import Path
import py_compile
import re
from shutil import copytree
from statistics import median
import subprocess
from tempfile import TemporaryDirectory
import time
from typing import Any

from infra.archive import zip_folder
from infra.build import MB, BuildRequest, build
from infra.local import dynamodb as local
from tests.benchmarks.drip import BEDROCK, VLLM, named, provider
from tests.benchmarks.issuer import AUDIENCE
from tests.benchmarks.processes import started
from tests.benchmarks.table import Row
from tests.lambda_ import keys
from tests.lambda_.emulator import PYTHON, architecture, running
from tests.lambda_.streaming import streaming

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
STREAMED = {"model": "short", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
RESPONSE = {"model": "short", "input": "Hi", "stream": True}


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


@dataclass(frozen=True)
class Case:
    """A function that is started, what its first event is, and which other case it may take how much longer than."""

    package: Path
    config: Path
    event: dict[str, Any]
    against: str = ""
    goal: str = ""
    handler: str = "functions.inference.handler"


def cold() -> list[Row]:
    with TemporaryDirectory() as name, ExitStack() as parts:
        folder = Path(name)
        upstream, _ = parts.enter_context(started("-m", "tests.benchmarks.drip"))
        cases = open_cases(folder, upstream)
        why = local.unavailable()
        if why:
            print(f"cold starts with keys and a quota: skipped, {why}")
        else:
            endpoint = parts.enter_context(local.running())
            cases |= guarded_cases(folder, upstream, endpoint, cases)
            issuer, _ = parts.enter_context(started("-m", "tests.benchmarks.issuer", str(folder / "token")))
            cases |= token_case(folder, upstream, endpoint, issuer)
            cases |= state_cases(folder, upstream, endpoint)
        inits: dict[str, list[float]] = {case: [] for case in cases}
        totals: dict[str, list[float]] = {case: [] for case in cases}
        for _ in range(ROUNDS):
            for which, case in cases.items():
                init, total = one_start(case, folder / "log")
                inits[which].append(init)
                totals[which].append(total)
        rows = ratios("cold start, init", inits, cases, goals=False) + ratios(
            "cold start, init + first answer", totals, cases
        )
        rows += streaming_starts(cases, folder / "log", median(totals["bare"]))
        rows.append(memory(cases["inference, Bedrock"], folder / "log"))
        imports(cases["inference"])
        return rows + [size(which, cases[which].package, most) for which, most in (("inference", 25), ("admin", 10))]


def streaming_starts(cases: dict[str, Case], log: Path, bare_ms: float) -> list[Row]:
    """From the start of a process of our own runtime to its first answer, beside the bare function in AWS's."""
    return [
        Row(f"cold start, streaming runtime: {which}", f"{found:.0f} ms", f"{bare_ms:.0f} ms", found / bare_ms, goal)
        for which, goal in (("admin", "<= 1.6x"), ("inference", "<= 2.4x"))
        for found in [median(streaming_start(cases[which], log) for _ in range(ROUNDS))]
    ]


def streaming_start(case: Case, log: Path) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    with streaming(case.package, case.handler, environment(case), log, str(PYTHON)) as function:
        assert function.answered(case.event).prelude["statusCode"] == 200
        return (time.perf_counter() - start) * 1e3


def ratios(what: str, took: dict[str, list[float]], cases: dict[str, Case], *, goals: bool = True) -> list[Row]:
    found = {which: median(times) for which, times in took.items()}
    return [
        Row(
            f"{what}: {which}",
            f"{found[which]:.0f} ms",
            f"{found[case.against]:.0f} ms",
            found[which] / found[case.against],
            case.goal if goals else "",
        )
        for which, case in cases.items()
        if case.against
    ]


def open_cases(folder: Path, upstream: int) -> dict[str, Case]:
    """Without auth and quota: a vLLM stack then has no use for the AWS SDK."""
    chat, config = event("POST", "/v1/chat/completions", CHAT), configured(folder, VLLM, upstream)
    packages = built(folder)
    inference = packages["inference"]
    return {
        "bare": Case(packages["bare"], config, chat, handler="bare.handler"),
        "inference": Case(inference, config, chat, "bare", "<= 2.4x"),
        "admin": Case(
            packages["admin"], config, event("GET", "/v1/health"), "bare", "<= 1.6x", "functions.admin.handler"
        ),
        "inference, Bedrock": Case(inference, configured(folder, BEDROCK, upstream), chat, "inference", "<= 1.3x"),
    }


def guarded_cases(folder: Path, upstream: int, endpoint: str, cases: dict[str, Case]) -> dict[str, Case]:
    """As it is deployed: API keys and a quota in DynamoDB."""
    os.environ.update(local.CREDENTIALS)
    local.create_table(endpoint, "registry", range_key="sk")
    local.create_table(endpoint, "quota")
    store = {"type": "dynamodb", "region": local.REGION, "endpoint_url": endpoint}
    server = {"auth": {"providers": [{"type": "api_key"}]}, "quota": {"kvstore": {**store, "table": "quota"}}}
    guards = {"server": server, "metadata_store": {**store, "table": "registry"}}
    configs = {kind: configured(folder, kind, upstream, guards) for kind in (VLLM, BEDROCK)}
    key = keys.created("--config", str(configs[VLLM]), "--name", "bench", **local.CREDENTIALS)
    chat = event("POST", "/v1/chat/completions", CHAT)
    chat["headers"] |= {"authorization": f"Bearer {key}"}
    package = cases["inference"].package
    vllm, bedrock = "inference, keys and quota", "inference, Bedrock, keys and quota"
    return {
        vllm: Case(package, configs[VLLM], chat, "bare", "<= 3.0x"),
        bedrock: Case(package, configs[BEDROCK], chat, "bare", "<= 3.0x"),
    }


def state_cases(folder: Path, upstream: int, endpoint: str) -> dict[str, Case]:
    """As they are deployed with files and vector stores: keys, registry and state in DynamoDB, blobs in S3; each lists what there is."""
    local.create_table(endpoint, "state", range_key="sk")
    store = {"type": "dynamodb", "region": local.REGION, "endpoint_url": endpoint}
    document = {
        "version": 2,
        "image_name": "state",
        "models": [{"model_id": "short", "provider_id": "up", "provider_model_id": named(1, 0, 5)}],
        "apis": ["inference", "safety", "files", "vector_io", "responses"],
        "providers": {
            "inference": [provider(BEDROCK, upstream)],
            "safety": [provider(BEDROCK, upstream) | {"provider_id": "guard"}],
            "files": [{"provider_id": "files", "provider_type": "inline::localfs"}],
            "vector_io": [
                {"provider_id": "v", "provider_type": "remote::s3-vectors", "config": {"vector_bucket": "vectors"}}
            ],
            "responses": [{"provider_id": "builtin", "provider_type": "inline::builtin"}],
        },
        "metadata_store": {**store, "table": "registry"},
        "storage": {
            "backends": {
                "state": {**store, "type": "kv_dynamodb", "table": "state"},
                "bucket": {"type": "blob_s3", "bucket": "bench"},
                "queue": {"type": "queue_sqs", "url": f"http://127.0.0.1:{upstream}/queue"},
            },
            "stores": {
                "documents": {"backend": "state"},
                "blobs": {"backend": "bucket"},
                "jobs": {"backend": "state"},
                "queue": {"backend": "queue"},
            },
        },
        "server": {"auth": {"providers": [{"type": "api_key"}]}},
    }
    config = folder / "state.json"
    config.write_text(json.dumps(document))
    key = keys.created("--config", str(config), "--name", "state", "--roles", "admin", **local.CREDENTIALS)
    cases = dict[str, Case]()
    for api, path in (("safety", "/v1/shields"), ("files", "/v1/files"), ("vector_io", "/v1/vector_stores")):
        build(BuildRequest(api, folder / api, architecture=architecture()))
        look = event("GET", path)
        look["headers"] |= {"authorization": f"Bearer {key}"}
        against, goal = ("bare", "") if api == "safety" else ("safety, keys", "<= 1.05x")
        cases[f"{api}, keys"] = Case(folder / api, config, look, against, goal, f"functions.{api}.handler")
    return cases | response_cases(folder, config, key)


def response_cases(folder: Path, config: Path, key: str) -> dict[str, Case]:
    """A chat, and a response of the same model that is kept; both stream, as the engine has it of the model in any case."""
    cases = dict[str, Case]()
    for api, path, body in (("inference", "chat/completions", STREAMED), ("responses", "responses", RESPONSE)):
        if not (folder / api).exists():
            build(BuildRequest(api, folder / api, architecture=architecture()))
        ask = event("POST", f"/v1/{path}", body)
        ask["headers"] |= {"authorization": f"Bearer {key}"}
        against, goal = ("bare", "") if api == "inference" else ("inference, keys and state", "<= 1.1x")
        cases[f"{api}, keys and state"] = Case(folder / api, config, ask, against, goal, f"functions.{api}.handler")
    return cases


def token_case(folder: Path, upstream: int, endpoint: str, issuer: int) -> dict[str, Case]:
    """As the first deployment of an OpenID issuer's tokens: its keys are fetched, and a token is verified."""
    store = {"type": "dynamodb", "region": local.REGION, "endpoint_url": endpoint}
    token = {
        "type": "oauth2_token",
        "audience": AUDIENCE,
        "jwks": {"uri": f"http://127.0.0.1:{issuer}/keys"},
    }
    server = {"auth": {"providers": [token]}, "quota": {"kvstore": {**store, "table": "quota"}}}
    guards = {"image_name": "tokens", "server": server, "metadata_store": {**store, "table": "registry"}}
    config = configured(folder, BEDROCK, upstream, guards)
    package = folder / "inference-tokens"
    build(BuildRequest("inference", package, config, architecture()))
    chat = event("POST", "/v1/chat/completions", CHAT)
    chat["headers"] |= {"authorization": f"Bearer {(folder / 'token').read_text('utf-8')}"}
    return {"inference, Bedrock, JWT and quota": Case(package, config, chat, "bare", "<= 3.0x")}


def size(module: str, package: Path, most: float) -> Row:
    found = zip_folder(package, package.with_suffix(".zip")).zipped / MB
    return Row(f"package, zipped: {module}", f"{found:.1f} MB", f"{most:.0f} MB", found / most, "<= 1.0x")


def imports(case: Case) -> None:
    """Print what costs most of all that the function imports, without what each imports itself."""
    command = [str(PYTHON), "-S", "-X", "importtime", "-c", "import functions.inference"]
    done = subprocess.run(
        command,
        cwd=case.package,
        env=environment(case) | {"PYTHONPATH": str(case.package)},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = re.findall(r"import time: +(\d+) \| +\d+ \| +(\S+)", done.stderr)
    costly = sorted(((int(us), name) for us, name in rows), reverse=True)[:10]
    print(
        f"{len(rows)} modules; the ten that cost most: " + ", ".join(f"{name} {us / 1e3:.1f} ms" for us, name in costly)
    )


def built(folder: Path) -> dict[str, Path]:
    """The packages as they are deployed, and the floor with the same libraries and byte code."""
    for module in ("inference", "admin"):
        build(BuildRequest(module, folder / module, architecture=architecture()))
    bare(folder / "bare", like=folder / "admin")
    return {module: folder / module for module in ("bare", "inference", "admin")}


def bare(package: Path, *, like: Path) -> None:
    copytree(like, package)
    (package / "bare.py").write_text(BARE)
    py_compile.compile(str(package / "bare.py"), doraise=True)


def configured(folder: Path, provider_type: str, upstream: int, guards: dict[str, Any] | None = None) -> Path:
    document = {
        "version": 2,
        "image_name": "bench",
        "apis": ["inference"],
        "providers": {"inference": [provider(provider_type, upstream)]},
        "models": [{"model_id": "up/bench", "provider_model_id": "bench"}],
        "metadata_store": {"type": "dynamodb", "table": "registry"},
        **(guards or {}),
    }
    config = folder / f"{provider_type.rpartition(':')[2]}-{document['image_name']}{'-guarded' if guards else ''}.json"
    config.write_text(json.dumps(document))
    return config


def environment(case: Case) -> dict[str, str]:
    return {"LLAMBDA_CONFIG": str(case.config), **local.CREDENTIALS}


def one_start(case: Case, log: Path) -> tuple[float, float]:
    """Milliseconds of init as the runtime reports it, and from the first event to its answer, init included."""
    with running(case.package, case.handler, environment(case), log) as function:
        start = time.perf_counter()
        answer = function.invoke(case.event)
        total = (time.perf_counter() - start) * 1e3
        assert answer["statusCode"] == 200, answer
        found = re.search(r"INIT REPORT\(durationMs: ([\d.]+)", log.read_text())
        assert found, log.read_text()
        return float(found[1]), total


def memory(case: Case, log: Path) -> Row:
    with running(case.package, case.handler, environment(case), log) as function:
        for _ in range(WARM):
            function.invoke(case.event)
        used = resident_mb(case.package)
    return Row(f"memory of inference with Bedrock after {WARM} chats", f"{used:.0f} MB", "90 MB", used / 90, "<= 1.0x")


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
