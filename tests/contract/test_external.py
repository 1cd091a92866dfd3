"""An external provider is made, held to its Protocol, asked and let go of; what is wrong with it is said in a sentence."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from core.apis.external import Api
from core.apis.inference import ChatRequest, Inference, TakesProviderData
from core.apis.safety import RunShieldRequest
from core.config.problems import ConfigInvalid
from core.errors import InvalidRequest
from core.frame.callers import Call, Principal
from core.resolution.check import check
from core.resolution.external.compliance import NotCompliant, check_compliance
from core.resolution.external.provider import Deps
from core.resolution.resolve import resolve
from core.routing import isolation
from tests.contract.external import ADAPTER, CONFIG, FACTORY, entry, loaded, put


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def checked(folder: Path, **config: Any) -> dict[str, str]:
    found = loaded(folder, inference=[entry(**config)])
    return {problem.path: problem.message for problem in found.problems + check(found)}


async def refused(folder: Path, **config: Any) -> str:
    with pytest.raises((ConfigInvalid, NotCompliant)) as refusal:
        await resolve(loaded(folder, inference=[entry(**config)]), ["inference"], version="1")
    return str(refusal.value)


async def made(folder: Path, code: str, **fields: Any) -> Any:
    put(folder, code, **fields)
    return await resolve(loaded(folder, inference=[entry()]), ["inference"], version="1")


@pytest.mark.parametrize(
    ("code", "fields", "words"),
    [
        (FACTORY, {}, "config_class: `MODULE` has no Config; mend remote/inference/parrot.yaml"),
        ("class Config: pass" + FACTORY, {}, "is no pydantic model; derive it from pydantic.BaseModel"),
        ("raise ZeroDivisionError('at import')", {}, "the import of `MODULE` raised ZeroDivisionError: at import"),
        ("import sys; sys.exit()", {}, "the import of `MODULE` raised SystemExit"),
        ("import not_there_at_all", {}, "`MODULE` imports `not_there_at_all`, which is not installed"),
        (CONFIG, {}, "module `MODULE` has no get_adapter_impl(config, deps); define it there"),
        (ADAPTER + FACTORY, {"module": "not_there_at_all"}, "`not_there_at_all` is not installed; install the package"),
        (ADAPTER + FACTORY, {"pip_packages": ["not-there>=1"]}, "pip install 'not-there>=1'`"),
        (ADAPTER + FACTORY, {"provider_data_validator": "json.JSONDecoder"}, "is no pydantic model"),
    ],
)
def test_code_that_cannot_be_loaded_is_a_problem_that_says_what_to_do(
    folder: Path, code: str, fields: dict[str, Any], words: str
) -> None:
    module = put(folder, code, **fields)
    assert words.replace("MODULE", module) in checked(folder)["providers.inference[0].provider_type"]


def test_a_config_is_held_to_its_class(folder: Path) -> None:
    put(folder, ADAPTER + FACTORY)
    assert "must be text" in checked(folder, word=[])["providers.inference[0].config.word"]
    assert not checked(folder, word="ho")


def test_a_config_class_that_raises_is_a_problem_without_the_secrets(folder: Path) -> None:
    raising = """
    from pydantic import model_validator
    @model_validator(mode="before")
    @classmethod
    def fail(cls, values): raise KeyError(values["api_key"])
"""
    put(folder, CONFIG + raising + FACTORY)
    message = checked(folder, api_key="s3cret-key")["providers.inference[0].config"]
    assert "raised KeyError: '********'" in message


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("async def get_adapter_impl(config, deps): return None", "returned nothing; return an instance"),
        ("async def get_adapter_impl(config, deps): return Parrot", "returned the class Parrot"),
        ("def get_adapter_impl(config, deps): return Parrot(config)", "is no coroutine function; write `async def`"),
        ("async def get_adapter_impl(config): return Parrot(config)", "raised TypeError"),
        ("async def get_adapter_impl(config, deps): raise OSError('no disk')", "raised OSError: no disk"),
        ("async def get_adapter_impl(config, deps): raise TimeoutError('its own')", "raised TimeoutError: its own"),
        ("async def get_adapter_impl(config, deps): return deps['safety']", "name it in the spec's api_dependencies"),
        ("async def get_adapter_impl(config, deps): return object()", "chat_completion: missing"),
        ("async def get_adapter_impl(config, deps): raise ValueError(config.api_key.get_secret_value())", "********"),
    ],
)
async def test_a_factory_that_makes_no_provider_is_said(folder: Path, factory: str, words: str) -> None:
    put(folder, f"{ADAPTER}\n{factory}")
    said = await refused(folder, api_key="s3cret-key")
    assert words in said
    assert "`x`" in said
    assert "s3cret-key" not in said


async def test_a_factory_that_hangs_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMBDA_PROVIDER_SECONDS", "0.1")
    put(folder, f"import asyncio{ADAPTER}\nasync def get_adapter_impl(config, deps): await asyncio.Event().wait()")
    assert "took longer than 0.1 s" in await refused(folder)


async def test_where_it_raised_is_in_the_log_at_debug_alone(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(folder, f"{ADAPTER}\nasync def get_adapter_impl(config, deps): raise OSError('no disk')")
    caplog.set_level(logging.INFO, "core")
    assert "Traceback" not in await refused(folder)
    assert not caplog.records
    caplog.set_level(logging.DEBUG, "core")
    await refused(folder)
    assert "in get_adapter_impl" in caplog.text


@pytest.mark.parametrize("end", ["close", "shutdown"])
async def test_it_is_let_go_of_by_close_or_by_shutdown(folder: Path, end: str) -> None:
    ending = f"    async def {end}(self): self.ended = '{end}'\n"
    stack = await made(folder, ADAPTER.replace("    async def close(self): pass\n", ending) + FACTORY)
    provider = stack.instances[0].provider
    await stack.close()
    assert provider.ended == end


@pytest.mark.parametrize("end", ["raise OSError('no')", "import asyncio; await asyncio.Event().wait()"])
async def test_one_that_fails_to_close_or_hangs_keeps_nobody(
    folder: Path, end: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "CLOSE_SECONDS", 0.1)
    stack = await made(
        folder, ADAPTER.replace("async def close(self): pass", f"async def close(self): {end}") + FACTORY
    )
    async with asyncio.timeout(5):
        await stack.close()
    assert "closing provider `x`: It " in caplog.text


DATA = """
from pydantic import AliasChoices, AliasPath, BaseModel, Field
class Data(BaseModel):
    parrot_key: str
    tries: int = 1
    word: str = Field(default="", validation_alias=AliasChoices("parrot_word", AliasPath("parrot_words", 0)))
class Keyed(Parrot):
    key = "the operator's"
    def with_provider_data(self, data):
        other = Keyed(self.config)
        other.key = data["parrot_key"]
        return other
    async def chat_completion(self, request): return {"object": self.key, "model": request.model}
async def get_adapter_impl(config, deps): return Keyed(config)
"""


async def test_what_a_caller_brings_is_validated_and_handed_over(folder: Path) -> None:
    module = put(folder, ADAPTER + DATA)
    put_again = (folder / "providers.d/remote/inference/parrot.yaml").read_text()
    spec = put_again.replace('"adapter_type"', f'"provider_data_validator": "{module}.Data", "adapter_type"')
    (folder / "providers.d/remote/inference/parrot.yaml").write_text(spec)
    stack = await resolve(loaded(folder, inference=[entry()]), ["inference"], version="1")
    assert isinstance(stack.instances[0].provider, TakesProviderData)
    request = ChatRequest(model="x/p", messages=[{}])

    async def asked(**data: Any) -> Any:
        call = Call(Principal("ada", {"roles": ("admin",)}), provider_data=data)
        return (await stack.surfaces["inference"](call).chat_completion(request))["object"]

    assert await asked() == "the operator's"
    assert await asked(parrot_key="a caller's") == "a caller's"
    assert await asked(others_key="is for another provider") == "the operator's"
    for word in ({"parrot_word": "x"}, {"parrot_words": ["x"]}):
        with pytest.raises(InvalidRequest, match="parrot_key is required"):
            await asked(**word)
    with pytest.raises(InvalidRequest) as refusal:
        await asked(tries="s3cret")
    assert "parrot_key is required; tries is not valid (int parsing)" in refusal.value.message
    assert "s3cret" not in refusal.value.message
    await stack.close()


async def test_a_validator_without_anything_to_hand_over_to_is_refused(folder: Path) -> None:
    put(folder, ADAPTER + FACTORY, provider_data_validator="pydantic.BaseModel")
    assert "with_provider_data(data)" in await refused(folder)


JUDGE = """
from pydantic import BaseModel
from core.apis.inference import ChatRequest
class Config(BaseModel): pass
class Judge:
    def __init__(self, inference): self.inference = inference
    async def run_shield(self, shield, messages, params):
        answer = await self.inference.chat_completion(ChatRequest(model=shield.provider_resource_id, messages=messages))
        return {"violation_level": "error", "user_message": answer["object"], "metadata": {}}
    async def check_shield(self, shield): pass
    async def health(self): return {"status": "OK"}
async def get_provider_impl(config, deps):
    from enum import Enum
    Their = Enum("Their", {"inference": "inference", "vector_io": "vector_io"})
    assert deps.get(Their.vector_io) is None and Their.vector_io not in deps
    return Judge(deps[Their.inference])
"""


async def test_an_inline_provider_gets_what_it_depends_on_with_its_protocol(folder: Path) -> None:
    put(folder, ADAPTER + FACTORY)
    put(folder, JUDGE, "safety", "inline", api_dependencies=["inference"], optional_api_dependencies=["vector_io"])
    shields = [{"shield_id": "s", "provider_shield_id": "x/p"}]
    judged = {**entry("inline"), "provider_id": "judge"}
    found = loaded(folder, {"shields": shields}, inference=[entry(word="unsafe")], safety=[judged])
    assert not found.problems + check(found)
    stack = await resolve(found, ["safety"], version="1")
    judge = next(each.provider for each in stack.instances if each.api == "safety")
    check_compliance("inference", judge.inference, Inference)
    request = RunShieldRequest(shield_id="s", messages=[{"role": "user", "content": "Hello."}])
    found_out = (await stack.surfaces["safety"](None).run_shield(request))["violation"]
    assert found_out["user_message"] == "unsafe"
    await stack.close()


async def test_a_configured_api_that_this_build_has_not_is_no_dependency(folder: Path) -> None:
    put(folder, ADAPTER + FACTORY)
    put(folder, JUDGE, "safety", "inline", api_dependencies=["inference"], optional_api_dependencies=["telemetry"])
    tools = {"provider_id": "sink", "provider_type": "inline::meta-reference"}
    found = loaded(folder, inference=[entry()], safety=[{**entry("inline"), "provider_id": "judge"}], telemetry=[tools])
    stack = await resolve(found, ["safety"], version="1")
    assert {instance.api for instance in stack.instances} == {"inference", "safety"}
    await stack.close()


def test_dependencies_are_found_by_name_and_by_enum() -> None:
    deps = Deps({"inference": 1})
    assert deps["inference"] == deps[Api.inference] == deps.get(Api.inference) == 1
    assert Api.inference in deps
    assert deps.get(Api.vector_io, 2) == 2
    with pytest.raises(KeyError, match="vector_io is not here; name it in the spec's api_dependencies"):
        _ = deps[Api.vector_io]
