"""A function gets the APIs it serves and what those need, from built-in and external provider types."""

from pathlib import Path
import sys
from typing import Any

import pytest

from core.apis.admin import ProviderQuery, RoutesQuery
from core.apis.inference import ChatRequest
from core.config.load import Loaded, load
from core.config.problems import ConfigInvalid
from core.errors import NotFound
from core.resolution.admin import assemble
from core.resolution.check import check
from core.resolution.external.compliance import NotCompliant
from core.resolution.resolve import resolve
from core.resolution.stack import Stack
from core.routing.guard import NOT_FOUND_FLOOR_SECONDS

SPEC = """
adapter:
  adapter_type: parrot
  module: {module}
  config_class: {module}.Config
  pip_packages: [pydantic]
api_dependencies: []
optional_api_dependencies: []
"""
ADAPTER = """
from pydantic import BaseModel

class Config(BaseModel):
    word: str

class Parrot:
    def __init__(self, word): self.word = word
    async def chat_completion(self, request): return {"object": self.word, "model": request.model}
    async def completion(self, request): return {}
    async def embeddings(self, request): return {}
    async def stream_chat_completion(self, request): return None
    async def stream_completion(self, request): return None
    async def list_models(self): return [{"id": "p", "model_type": "llm", "metadata": {}}]
    async def health(self): return {"status": "OK"}
    async def close(self): pass

async def get_adapter_impl(config, deps):
    assert deps == {}
    return Parrot(config.word)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A provider directory, and a package for its providers on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "providers.d" / "remote" / "inference").mkdir(parents=True)
    return tmp_path


def external(folder: Path, module: str, code: str) -> None:
    (folder / f"{module}.py").write_text(code)
    (folder / "providers.d/remote/inference/parrot.yaml").write_text(SPEC.format(module=module))
    sys.modules.pop(module, None)


def loaded(folder: Path, *entries: dict[str, Any], **more: Any) -> Loaded:
    import json

    document = {
        "version": 2,
        "image_name": "t",
        "apis": ["inference"],
        "providers": {"inference": list(entries)},
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
        **more,
    }
    (folder / "run.json").write_text(json.dumps(document))
    return load(folder / "run.json", {})


def valid(found: Loaded) -> Loaded:
    assert not found.problems
    assert not check(found)
    return found


def vllm(provider_id: str, **config: Any) -> dict[str, Any]:
    return {"provider_id": provider_id, "provider_type": "remote::vllm", "config": {"url": "http://u", **config}}


async def resolved(
    folder: Path, *entries: dict[str, Any], apis: tuple[str, ...] = ("inference",), **more: Any
) -> Stack:
    return await resolve(valid(loaded(folder, *entries, **more)), apis, version="1")


async def test_instances_of_one_type_stand_side_by_side(folder: Path) -> None:
    stack = await resolved(folder, vllm("a"), vllm("b"), models=[{"model_id": "m", "provider_id": "b"}])
    assert [instance.entry.provider_id for instance in stack.instances] == ["a", "b"]
    assert set(stack.surfaces) == {
        "chats", "inference", "money", "native_batches", "native_inference", "native_responses", "rerank"
    }  # fmt: skip
    assert (await stack.registries["model"](None).get("m")).provider_id == "b"
    await stack.close()


async def test_a_model_without_a_provider_belongs_to_the_only_one(folder: Path) -> None:
    stack = await resolved(folder, vllm("a"), models=[{"model_id": "m", "provider_model_id": None, "metadata": {}}])
    found = await stack.registries["model"](None).get("m")
    assert (found.provider_id, found.provider_resource_id) == ("a", "m")
    await stack.close()


async def test_an_external_provider_is_served_like_a_built_in_one(folder: Path) -> None:
    external(folder, "parrot_good", ADAPTER)
    entry = {"provider_id": "x", "provider_type": "remote::parrot", "config": {"word": "hi"}}
    stack = await resolved(folder, entry, external_providers_dir=str(folder / "providers.d"))
    request = ChatRequest(model="x/p", messages=[{}])
    answer = await stack.surfaces["inference"](None).chat_completion(request)
    assert (answer["object"], answer["model"]) == ("hi", "x/p")
    with pytest.raises(NotFound):
        await stack.registries["model"](None).get("x/q")
    await stack.close()


async def test_an_external_provider_that_does_not_keep_the_protocol_is_refused(folder: Path) -> None:
    external(
        folder,
        "parrot_bad",
        ADAPTER.replace("async def completion", "async def completions").replace(
            "def embeddings(self, request", "def embeddings(self"
        ),
    )
    entry = {"provider_id": "x", "provider_type": "remote::parrot", "config": {"word": "hi"}}
    with pytest.raises(NotCompliant, match="`x`") as refusal:
        await resolved(folder, entry, external_providers_dir=str(folder / "providers.d"))
    assert [name for name, _ in refusal.value.faults] == ["completion", "embeddings"]


async def test_admin_sees_every_provider_with_its_secrets_hidden(folder: Path) -> None:
    stack = await resolved(folder, vllm("a", api_token="s3cret"), apis=("admin",))
    shown = await stack.surfaces["admin"](None).get_provider("a", query=ProviderQuery())
    assert shown["config"]["api_token"] == "********"
    assert shown["health"]["status"] == "Error"
    routes = (await stack.surfaces["admin"](None).list_routes(query=RoutesQuery()))["data"]
    assert {"route": "/v1/models", "method": "GET", "provider_types": ["remote::vllm"]} in routes
    assert {"route": "/v1/health", "method": "GET", "provider_types": []} in routes
    alpha = (await stack.surfaces["admin"](None).list_routes(query=RoutesQuery(api_filter="v1alpha")))["data"]
    assert alpha == [row for row in routes if row["route"].startswith("/v1alpha/")]
    assert 0 < len(alpha) < len(routes)
    deprecated = (await stack.surfaces["admin"](None).list_routes(query=RoutesQuery(api_filter="deprecated")))["data"]
    assert {"/v1/openai/v1/models", "/v1/openai/v1/chat/completions"} <= {row["route"] for row in deprecated}
    version = (await stack.surfaces["admin"](None).list_routes(query=RoutesQuery(api_filter="v1")))["data"]
    assert "/v1/chat/completions" in {row["route"] for row in version}
    assert not [row for row in (*routes, *version) if row in deprecated or row["route"].startswith("/v1/openai/")]
    await stack.close()


async def test_providers_are_shown_as_the_run_config_lists_them_whatever_was_made_first(folder: Path) -> None:
    stack = await resolved(folder, vllm("b"), vllm("a"), apis=("admin",))
    stack.instances.reverse()
    shown = await assemble(stack)["admin"](None).list_providers()
    assert [row["provider_id"] for row in shown["data"]] == ["b", "a"]
    await stack.close()


def messages(folder: Path, *entries: dict[str, Any], **more: Any) -> dict[str, str]:
    found = loaded(folder, *entries, **more)
    return {problem.path: problem.message for problem in found.problems + check(found)}


def test_every_mistake_about_providers_and_resources_is_reported_with_its_path(folder: Path) -> None:
    found = messages(
        folder,
        {"provider_id": "a", "provider_type": "remote::vlm"},
        {"provider_id": "b", "provider_type": "inline::meta-reference"},
        vllm("c", api_tokn="s3cret"),
        vllm("d", timeout="soon"),
        models=[{"model_id": "e", "provider_id": "c", "model_type": "embedding"}],
    )
    assert "did you mean `remote::vllm`?" in found["providers.inference[0].provider_type"]
    assert "use remote::vllm" in found["providers.inference[1].provider_type"]
    assert "did you mean `api_token`?" in found["providers.inference[2].config.api_tokn"]
    assert "number" in found["providers.inference[3].config.timeout"]
    assert "embedding_dimension" in found["models[0]"]
    assert not any("s3cret" in text for text in found.values())


def test_a_resource_without_a_provider_among_several_is_a_problem(folder: Path) -> None:
    found = messages(folder, vllm("a"), vllm("b"), models=[{"model_id": "m"}])
    assert found == {"models[0]": "provider_id is missing; inference providers: a, b"}


def test_what_is_wrong_with_auth_and_quota_is_reported_where_it_was_written(folder: Path) -> None:
    older = {"auth": {"provider_type": "customm", "config": {}}, "quota": {"period": "week"}}
    found = messages(folder, vllm("a"), server=older)
    assert set(found) == {"server.quota.kvstore", "server.quota.period"}  # nothing more while a section is no record
    older["quota"] = {"kvstore": {"type": "sqlite", "db_path": "q.db"}}
    assert "did you mean `custom`?" in messages(folder, vllm("a"), server=older)["server.auth.provider_type"]
    newer = {"auth": {"providers": [{"type": "api_key"}, {"type": "custom", "endpoit": "https://a"}]}}
    found = messages(folder, vllm("a"), server=newer)
    assert set(found) == {"server.auth.providers[1].endpoint", "server.auth.providers[1].endpoit"}


async def test_auth_without_a_provider_is_refused_rather_than_open(folder: Path) -> None:
    assert set(messages(folder, vllm("a"), server={"auth": {}})) == {"server.auth"}
    dropped = {"auth": {"providers": [{"type": "${env.NOT_SET:+api_key}"}]}}
    assert "server.auth.providers" in messages(folder, vllm("a"), server=dropped)
    with pytest.raises(ConfigInvalid, match=r"server\.auth"):
        await resolve(loaded(folder, vllm("a"), server={"auth": {}}), ["inference"], version="1")
    wrong = {"auth": {"providers": [{"type": "custom"}]}}
    with pytest.raises(ConfigInvalid, match=r"server\.auth\.providers\[0\]\.endpoint"):
        await resolve(loaded(folder, vllm("a"), server=wrong), ["inference"], version="1")


async def test_only_where_callers_differ_does_a_404_wait(folder: Path) -> None:
    guarded = await resolved(folder, vllm("a"), server={"auth": {"providers": [{"type": "api_key"}]}})
    unguarded = await resolved(folder, vllm("a"))
    assert (guarded.enforcement.not_found_floor_seconds, unguarded.enforcement.not_found_floor_seconds) == (
        NOT_FOUND_FLOOR_SECONDS,
        0.0,
    )
    for stack in (guarded, unguarded):
        await stack.close()


async def test_a_quota_without_auth_is_warned_about(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    quota = {"quota": {"kvstore": {"type": "sqlite", "db_path": str(folder / "q.db")}}}
    stack = await resolve(loaded(folder, vllm("a"), server=quota), ["inference"], version="1")
    assert "anonymous_max_requests applies to all" in caplog.text
    assert stack.quota is not None
    await stack.close()


def test_a_token_of_digits_stays_text(folder: Path) -> None:
    entry = vllm("a", api_token="${env.TOKEN}")
    loaded(folder, entry)
    found = load(folder / "run.json", {"TOKEN": "0012345678"})
    assert not check(found)
    found = load(folder / "run.json", {"TOKEN": "12345678"})
    assert not check(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("adapter: [", "remote/inference/parrot.yaml"),
        ("adapter: {}", "adapter_type"),
        ("[]", "parrot.yaml"),
        (SPEC.format(module="not_there_at_all"), ""),
    ],
)
def test_a_broken_external_spec_is_a_problem_that_names_the_file(folder: Path, text: str, words: str) -> None:
    (folder / "providers.d/remote/inference/parrot.yaml").write_text(text)
    entry = {"provider_id": "x", "provider_type": "remote::parrot"}
    found = messages(folder, entry, external_providers_dir=str(folder / "providers.d"))
    if words:
        assert words in found["external_providers_dir"]
    else:
        assert "not installed" in found["providers.inference[0].provider_type"]


def test_a_missing_external_directory_is_a_problem(folder: Path) -> None:
    assert "there is no directory" in messages(folder, external_providers_dir="/nope")["external_providers_dir"]


def test_a_needed_api_without_providers_and_a_circle_are_problems(folder: Path) -> None:
    external(folder, "parrot_deps", ADAPTER)
    file = folder / "providers.d/remote/inference/parrot.yaml"
    entry = {"provider_id": "x", "provider_type": "remote::parrot", "config": {"word": "hi"}}
    more = {"external_providers_dir": str(folder / "providers.d")}
    file.write_text(file.read_text().replace("api_dependencies: []", "api_dependencies: [safety]", 1))
    assert "needs API `safety`" in messages(folder, entry, **more)["providers.inference"].replace(
        "its providers need", "needs"
    )
    file.write_text(file.read_text().replace("[safety]", "[inference]", 1))
    assert "inference -> inference" in messages(folder, entry, **more)["providers"]


OCCASIONAL = """
version: 2
image_name: t
apis: [inference, vector_io, responses]
providers:
  inference: [{provider_id: a, provider_type: "remote::vllm", config: {url: "http://u"}}]
  vector_io: [{provider_id: v, provider_type: "remote::s3-vectors", config: {vector_bucket: BUCKET}}]
  responses: [{provider_id: r, provider_type: "inline::builtin"}]
"""


async def test_what_few_responses_ask_is_made_for_the_first_that_does_and_checked_at_start(folder: Path) -> None:
    path = folder / "run.yaml"
    path.write_text(OCCASIONAL.replace("BUCKET", "vectors"))
    stack = await resolve(load(path, {}), ["responses"], version="0")
    made = {instance.api: instance.late.is_made for instance in stack.instances}
    assert made == {"inference": True, "vector_io": False, "responses": True}
    [provider] = stack.providers("vector_io").values()
    assert stack.providers("vector_io")["v"] is provider
    await stack.close()
    both = await resolve(load(path, {}), ["responses", "vector_io"], version="0")
    assert all(instance.late.is_made for instance in both.instances)
    await both.close()
    path.write_text(OCCASIONAL.replace("BUCKET", "X"))
    with pytest.raises(ConfigInvalid, match="vector_bucket"):
        await resolve(load(path, {}), ["responses"], version="0")


async def test_where_a_deployment_has_checked_them_configs_that_few_calls_ask_are_checked_for_the_first(
    folder: Path,
) -> None:
    path = folder / "run.yaml"
    path.write_text(OCCASIONAL.replace("BUCKET", "X"))
    stack = await resolve(load(path, {}), ["responses"], version="0", checks_late=True)
    checked = {instance.api: instance.late_config.is_made for instance in stack.instances}
    assert checked == {"inference": True, "vector_io": False, "responses": True}
    for _ in range(2):
        with pytest.raises(ConfigInvalid, match="vector_bucket"):
            stack.providers("vector_io")
    await stack.close()
    with pytest.raises(ConfigInvalid, match="vector_bucket"):
        await resolve(load(path, {}), ["vector_io"], version="0", checks_late=True)
    path.write_text(OCCASIONAL.replace("BUCKET", "X, tls_verify: /none.pem"))
    with pytest.raises(ConfigInvalid, match="vector_bucket"):  # one that names a file is checked, and so is its file
        await resolve(load(path, {}), ["responses"], version="0", checks_late=True)
