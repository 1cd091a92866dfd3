"""A stack that evaluates, in this process: datasets, scoring, models and agents over the scripted upstream, and a worker where a test asks for one.

The model answers a plain question with `user: QUESTION`.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, override

import httpx

from tests.parts.dataset_stack import dataset
from tests.parts.response_stack import MODEL, ResponseWorld, response_world

BENCHMARKS: Final = "/v1/eval/benchmarks"
EQUALITY: Final = "basic::equality"
SUBSET: Final = "basic::subset_of"
ENDED: Final = frozenset({"completed", "failed", "cancelled"})
SECONDS: Final = 60  # a slow machine is no failure

type Json = dict[str, Any]


class EvalWorld(ResponseWorld):
    """The stack of responses, with datasets, scoring and evaluations; `evals` of a document is the config of the provider."""

    @override
    def document(self, **how: Any) -> Json:
        evals, more = how.pop("evals", {}), how.pop("more_evals", ())
        benchmarks = how.pop("benchmarks", None)
        document = super().document(**how)
        document["apis"] = [*document["apis"], "datasetio", "scoring", "eval"]
        entries = {
            "datasetio": ("localfs", "inline::localfs", {"storage_dir": str(self.folder / "sources")}),
            "scoring": ("basic", "inline::basic", {}),
            "eval": ("stack", "inline::meta-reference", evals),
        }
        for api, (name, kind, config) in entries.items():
            document["providers"][api] = [{"provider_id": name, "provider_type": kind, "config": config}]
        document["providers"]["scoring"] += [
            {"provider_id": "judge", "provider_type": "inline::llm-as-judge", "config": {}}
        ]
        document["providers"]["eval"] += more
        return document if benchmarks is None else {**document, "benchmarks": benchmarks}


@asynccontextmanager
async def eval_world(folder: Path) -> AsyncGenerator[EvalWorld]:
    async with response_world(folder) as world:
        yield EvalWorld(world.folder, world.model, world.server, world.engines, world.opened)


def with_evaluations(document: Json, at_once: int) -> Json:
    """A run config of batches, with evaluations that jobs alone work on, `at_once` rows of each shard."""
    entries = {
        "scoring": ("inline::basic", {}),
        "eval": ("inline::meta-reference", {"wait_seconds": 0, "max_concurrent_rows": at_once}),
    }
    more = {
        api: [{"provider_id": api, "provider_type": kind, "config": settings}]
        for api, (kind, settings) in entries.items()
    }
    return {**document, "apis": [*document["apis"], *entries], "providers": {**document["providers"], **more}}


def questions(count: int, *, wrong: int = 0) -> list[Json]:
    """The model's answers to all but the last `wrong` are the expected ones."""
    return [
        {"question": f"q{n}", "answer": f"user: q{n}" if n < count - wrong else "something else"} for n in range(count)
    ]


async def benchmark_of(
    client: httpx.AsyncClient,
    rows: Sequence[Json],
    name: str = "quiz",
    functions: Sequence[str] = (EQUALITY,),
    headers: dict[str, str] | None = None,
    **more: Any,
) -> str:
    """The id of a benchmark over a dataset of these rows."""
    made = await client.post(
        "/v1/datasets", json=dataset({"type": "rows", "rows": list(rows)}, f"{name}-rows"), headers=headers
    )
    assert made.status_code == 200, made.text
    body = {"benchmark_id": name, "dataset_id": f"{name}-rows", "scoring_functions": list(functions), **more}
    registered = await client.post(BENCHMARKS, json=body, headers=headers)
    assert registered.status_code == 200, registered.text
    return name


def config(model: str = MODEL, **more: Any) -> Json:
    """A BenchmarkConfig, as 0.2's own test has it."""
    candidate = {"type": "model", "model": model, "sampling_params": {"temperature": 0.0}, **more.pop("candidate", {})}
    return {"eval_candidate": candidate, **more}


def agent_config(**more: Any) -> Json:
    agent = {"model": MODEL, "instructions": "Be brief.", **more.pop("agent", {})}
    return {"eval_candidate": {"type": "agent", "config": agent}, **more}


async def run(
    client: httpx.AsyncClient, name: str = "quiz", body: Json | None = None, headers: dict[str, str] | None = None
) -> Json:
    answer = await client.post(
        f"{BENCHMARKS}/{name}/jobs", json={"benchmark_config": body or config()}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    job: Json = answer.json()
    return job


async def end_of(client: httpx.AsyncClient, job: Json, name: str = "quiz", **headers: str) -> Json:
    async with asyncio.timeout(SECONDS):
        while job["status"] not in ENDED:
            await asyncio.sleep(0.05)
            answer = await client.get(f"{BENCHMARKS}/{name}/jobs/{job['job_id']}", headers=headers)
            assert answer.status_code == 200, answer.text
            job = answer.json()
    return job


async def result_of(client: httpx.AsyncClient, job: Json, name: str = "quiz", **headers: str) -> Json:
    answer = await client.get(f"{BENCHMARKS}/{name}/jobs/{job['job_id']}/result", headers=headers)
    assert answer.status_code == 200, answer.text
    result: Json = answer.json()
    return result
