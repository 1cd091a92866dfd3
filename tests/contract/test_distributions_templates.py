"""The templates of Llama Stack 0.2.12: what `config validate` says of each, and what `init --from` makes of it serves."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
import re
from typing import Any, override

from aiohttp import web
import pytest
import yaml

from core.apis.index import configurable_names
from core.cli.init.take_over import take_over
from core.config.load import interpret, load
from core.config.problems import ConfigInvalid
from core.config.sections import OLDER_APIS, ROUTED_APIS
from core.providers.openai.rows import ROWS
from core.resolution.check import check, notices
from core.resolution.provider_types import BUILT_IN, OPENAI
from tests.parts import upstream as upstreams
from tests.parts.bedrock import KEYS, REGION, FakeBedrock
from tests.parts.live_stack import client_over
from tests.parts.upstream import FakeUpstream

TEMPLATES = Path(__file__).parents[1] / "parts" / "templates"
HELLO = [{"role": "user", "content": "Hello"}]
# Those of which nothing is served, and what must be said of them.
REFUSED = {
    "hf-endpoint": ("providers.inference[0]", "remote::tgi"),
    "hf-endpoint-with-safety": ("providers.inference[2]", "remote::tgi"),
    "meta-reference-gpu": ("providers.inference[0]", "remote::vllm"),
    "vllm-gpu": ("providers.inference[0]", "remote::vllm"),
    "watsonx": ("providers.inference[0]", "remote::watsonx"),
}
ALL = sorted(path.stem for path in TEMPLATES.glob("*.yaml"))
TAKEN = [name for name in ALL if name not in REFUSED]


def source(name: str) -> Path:
    return TEMPLATES / f"{name}.yaml"


def variables(text: str) -> dict[str, str]:
    """A value for each variable that must have one, or switches something on."""
    return {name: f"https://{name.lower()}.example" for name in re.findall(r"\$\{env\.([A-Z0-9_]+)(?:\}|:?\+)", text)}


def test_the_templates_are_all_here() -> None:
    remotes = "bedrock cerebras dell fireworks groq hf-endpoint hf-serverless llama_api nvidia ollama open-benchmark"
    more = "passthrough postgres-demo remote-vllm sambanova starter tgi together watsonx"
    assert {*remotes.split(), *more.split(), *REFUSED} <= set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_validation_names_every_api_and_provider_that_is_not_here_at_once(name: str) -> None:
    raw: dict[str, Any] = yaml.safe_load(source(name).read_text("utf-8"))
    loaded = load(source(name), variables(source(name).read_text("utf-8")))
    problems = {problem.path: problem.message for problem in loaded.problems + check(loaded)}
    notes = {note.path: note.message for note in notices(loaded)}
    for index, api in enumerate(raw["apis"]):
        assert (f"apis[{index}]" in notes) == (api in ROUTED_APIS and api not in (*configurable_names(), *OLDER_APIS))
    for index, _ in enumerate(raw["providers"].get("agents", ())):
        assert f"providers.agents[{index}].provider_type" not in notes
    served = {(spec.api, spec.provider_type) for spec in (*BUILT_IN, *OPENAI)}
    for api in configurable_names():
        for index, entry in enumerate(raw["providers"].get(api, ())):
            is_off = entry["provider_id"].startswith("${")
            if (api, entry["provider_type"]) not in served and not is_off:
                assert entry["provider_type"] in problems[f"providers.{api}[{index}].provider_type"]


@pytest.mark.parametrize("name", REFUSED)
def test_of_what_is_not_served_the_provider_is_named_with_what_to_do(name: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        take_over(source(name))
    path, said = REFUSED[name]
    assert any(each.path.startswith(path) and said in each.message for each in refused.value.problems)


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken_over_is_valid_and_loses_nothing_that_is_served(name: str) -> None:
    raw: dict[str, Any] = yaml.safe_load(source(name).read_text("utf-8"))
    taken = take_over(source(name))
    loaded = interpret(yaml.safe_load(taken.text), variables(taken.text))
    assert loaded.problems + check(loaded) == []
    assert loaded.config is not None
    lost = " ".join(taken.notes)
    without = {api for api in configurable_names() if f"no provider serves API `{api}`" in lost}
    asked = {OLDER_APIS.get(api, api) for api in raw["apis"]}
    assert set(loaded.config.apis) == asked & set(configurable_names()) - without
    assert without <= {"vector_io"}  # of which these templates may name places that are not served, and no other
    for api in configurable_names():
        kept = {entry.provider_id for entry in loaded.config.providers.get(api, ())}
        for entry in raw["providers"].get(api, ()):
            name = re.sub(r"\$\{.*\+(.*)\}", r"\1", entry["provider_id"])  # what is off has the id that it would have
            assert (name in kept) != (f"({name}): " in lost)
    places = re.findall(r"(models\[\d+\]) \(", lost)
    assert len(loaded.config.resources.get("models", ())) == len(raw["models"]) - len(places)


@pytest.fixture
async def opened() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


def redirected(document: dict[str, Any], upstream: FakeUpstream, bedrock: FakeBedrock, folder: Path) -> dict[str, Any]:
    """The same run config with the fakes in the place of the vendors, a key for each, and state in `folder`."""
    for entry in document["providers"]["inference"]:
        row = ROWS.get(entry["provider_type"])
        if row is None:
            entry["config"] |= {**KEYS, "region_name": REGION, "endpoint_url": bedrock.url}
        else:
            kept = {key: value for key, value in entry["config"].items() if key not in (*row.urls, *row.keys)}
            entry["config"] = {**kept, row.urls[0]: upstream.url, row.keys[0]: "a-key"}
    document["metadata_store"] = {"type": "sqlite", "db_path": str(folder / "registry.db")}
    return document


@pytest.mark.parametrize("name", TAKEN)
async def test_what_is_taken_over_serves_its_models(name: str, tmp_path: Path, opened: AsyncExitStack) -> None:
    upstream = await opened.enter_async_context(upstreams.running(AnyRoot()))
    bedrock = await opened.enter_async_context(upstreams.running(FakeBedrock()))
    assert isinstance(bedrock, FakeBedrock)
    text = take_over(source(name)).text
    loaded = interpret(redirected(yaml.safe_load(text), upstream, bedrock, tmp_path), variables(text))
    client = await opened.enter_async_context(client_over(loaded))
    assert loaded.config is not None
    first = loaded.config.providers["inference"][0].provider_id
    declared = loaded.config.resources.get("models") or [{"model_id": f"{first}/m", "provider_model_id": "m"}]
    for model in (each for each in declared if each.get("model_type") != "embedding"):
        answer = await client.post("/v1/chat/completions", json={"model": model["model_id"], "messages": HELLO})
        assert answer.status_code == 200, answer.text
        sent = upstream.seen[-1].body["model"] if upstream.seen else bedrock.seen[-1].path
        assert (model.get("provider_model_id") or model["model_id"]) in sent
        assert not sent.startswith(("openai/", "anthropic/", "gemini/", "groq/", "sambanova/"))
    assert upstream.seen or bedrock.seen


class AnyRoot(FakeUpstream):
    """Answers under every vendor's path as under /v1."""

    @override
    async def reply(self, request: web.Request) -> web.StreamResponse:
        listed = {"object": "list", "data": self.models}
        return web.json_response(listed if request.path.endswith("/models") else upstreams.CHAT)
