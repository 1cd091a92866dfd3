"""Scoring providers of packages, in both forms of the reference's methods, and new packages of them."""

import importlib
import json
from pathlib import Path

import pytest

from core.cli.providers.new import NewPackage, files, write
from core.config.load import load
from core.config.problems import ConfigInvalid
from core.resolution.resolve import resolve
from tests.contract.external import CONFIG, entry, loaded, put
from tests.parts.live_stack import client_over
from tests.parts.score_stack import FUNCTIONS, SCORE

LISTING = """
    async def list_scoring_functions(self):
        return [ScoringFn(identifier="acme::length", provider_resource_id="length", provider_id="acme",
            description="How long.", return_type=NumberType(),
            params=BasicScoringFnParams(aggregation_functions=[AggregationFunctionType.average]))]

    async def register_scoring_function(self, scoring_fn):
        if scoring_fn.provider_resource_id == "none": raise ValueError("no such function")
        self.told.append(scoring_fn.identifier)
"""
SCORES = """
        results = {}
        for name, params in functions.items():
            if params.type == "basic" and name == "fails": raise RuntimeError("broken")
            factor = getattr(params, "factor", 1)
            results[name] = ScoringResult(
                score_rows=[{"score": len(row["generated_answer"]) * factor} for row in rows], aggregated_results={})
        return ScoreResponse(results=results)
"""
NATIVE = f"""{CONFIG}
from llama_stack.apis.common.type_system import NumberType
from llama_stack.apis.scoring import Scoring, ScoreResponse, ScoringResult
from llama_stack.apis.scoring_functions import AggregationFunctionType, BasicScoringFnParams, ScoringFn

class Lengths:
    told = []
    async def score(self, input_rows, scoring_functions):
        rows, functions = input_rows, scoring_functions{SCORES}{LISTING}
async def get_adapter_impl(config, deps): return Lengths()
"""
WITH_RECORDS = NATIVE.replace(
    "score(self, input_rows, scoring_functions):\n        rows, functions = input_rows, scoring_functions",
    "score(self, request):\n        rows, functions = request.input_rows, request.scoring_functions",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("code", [NATIVE, WITH_RECORDS], ids=["keywords", "records"])
async def test_a_package_for_the_reference_lists_functions_and_scores(folder: Path, code: str) -> None:
    put(folder, code, "scoring")
    async with client_over(loaded(folder, scoring=[entry()])) as client:
        [row] = (await client.get(FUNCTIONS)).json()["data"]
        assert (row["identifier"], row["provider_id"], row["provider_resource_id"]) == ("acme::length", "x", "length")
        assert row["params"] == {"type": "basic", "aggregation_functions": ["average"]}
        rows = [{"generated_answer": "a" * number} for number in (1, 3)]
        body = {"input_rows": rows, "scoring_functions": {"acme::length": None}}
        result = (await client.post(SCORE, json=body)).json()["results"]["acme::length"]
        assert result == {
            "score_rows": [{"score": 1}, {"score": 3}],
            "aggregated_results": {"average": {"average": 2.0}},
        }
        own = {"scoring_fn_id": "mine", "return_type": {"type": "number"}, "provider_scoring_fn_id": "length"}
        made = await client.post(FUNCTIONS, json=own | {"params": {"type": "basic", "factor": 2}})
        assert made.status_code == 200, made.text
        body = {"input_rows": rows, "scoring_functions": {"mine": {"aggregation_functions": ["median"]}}}
        result = (await client.post(SCORE, json=body)).json()["results"]["mine"]
        assert [row["score"] for row in result["score_rows"]] == [2, 6]
        assert result["aggregated_results"] == {"median": {"median": 4.0}}
        refused = await client.post(FUNCTIONS, json=own | {"scoring_fn_id": "o", "provider_scoring_fn_id": "none"})
        assert (refused.status_code, "no such function" in refused.text) == (400, True)


async def test_a_package_that_lists_nothing_that_can_be_read_is_no_provider(folder: Path) -> None:
    broken = NATIVE.replace("        return [ScoringFn", "        raise RuntimeError('no')\n        return [ScoringFn")
    put(folder, broken, "scoring")
    with pytest.raises(ConfigInvalid, match="RuntimeError"):
        await resolve(loaded(folder, scoring=[entry()]), ["scoring"], version="1")


@pytest.mark.parametrize("flavour", ["inline", "remote"])
async def test_a_new_package_is_served(folder: Path, monkeypatch: pytest.MonkeyPatch, flavour: str) -> None:
    name = f"words-{flavour}"
    write(folder / name, files(NewPackage(name, "scoring", flavour)))
    monkeypatch.syspath_prepend(str(folder / name))
    monkeypatch.chdir(folder / name)
    importlib.invalidate_caches()
    async with client_over(load(folder / name / "run.yaml", {})) as client:
        [row] = (await client.get(FUNCTIONS)).json()["data"]
        assert row["identifier"] == f"{name}::words"
        rows = [{"expected_answer": "a b", "generated_answer": "a"}]
        body = {"input_rows": rows, "scoring_functions": {row["identifier"]: None}}
        answer = (await client.post(SCORE, content=json.dumps(body))).json()
        score = answer["results"][row["identifier"]]["score_rows"][0]
        assert score == {"score": 0.5} if flavour == "inline" else score["score"] is None


async def test_an_overview_asks_no_provider_what_it_has_under_ids_of_its_own(folder: Path) -> None:
    """On Lambda its package has not the code that would tell."""
    own = f"""{CONFIG}
class Own:
    def functions(self): raise LookupError("asked")
    async def check_function(self, function, params=None): pass
    async def score_row(self, function, row, params): return {{"score": 1}}
    async def health(self): return {{"status": "OK"}}
    async def close(self): pass
async def get_adapter_impl(config, deps): return Own()
"""
    put(folder, own, "scoring")
    stack = await resolve(loaded(folder, scoring=[entry()]), ["admin"], version="1")
    await stack.close()
    with pytest.raises(LookupError, match="asked"):
        await resolve(loaded(folder, scoring=[entry()]), ["scoring"], version="1")
