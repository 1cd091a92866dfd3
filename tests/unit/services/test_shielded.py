"""What a shield finds is a refusal in OpenAI's shape, and nothing of it leaves before it was judged."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest
from core.apis.manifests.inference import MODEL
from core.apis.models import RegisterModel
from core.apis.safety import ModerationRequest, RunShieldRequest, Violation
from core.config.safety import SafetyConfig
from core.errors import ContentRefused, NotFound, ProviderUnavailable, UpstreamFailed
from core.frame.callers import ANONYMOUS, Call
from core.frame.resources import Resource
from core.frame.types import JsonObject
from core.routing.catalog import Catalog
from core.routing.guard import Enforcement, GuardedRegistry
from core.routing.policy import DEFAULT_POLICY, Policy
from core.routing.registry import Registry
from core.routing.shields import ShieldPolicy
from core.services.inference.router import InferenceRouter
from core.services.inference.shielded import WINDOW, ShieldedInference
from tests.fakes import FakeProvider, MemoryStore

REFUSED = "not that"
POLICY = ShieldPolicy(SafetyConfig(), lambda: None)


@dataclass
class FakeSafety:
    """Finds a violation where `finds` holds for the text of the last message; `judged` has every such text."""

    finds: Callable[[str], bool] = lambda text: "bad" in text
    judged: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    sources: list[str] = field(default_factory=list[str])
    message: str | None = REFUSED

    async def run_shield(self, request: RunShieldRequest) -> JsonObject:
        if request.shield_id == "missing":
            raise NotFound("no such shield")
        if request.shield_id == "broken":
            raise UpstreamFailed("no verdict")
        text = str(request.messages[-1]["content"])
        self.judged.append((request.shield_id, text))
        self.sources.append((request.params or {})["source"])
        found = Violation(violation_level="error", user_message=self.message, metadata={}) if self.finds(text) else None
        return {"violation": found}

    async def moderate(self, request: ModerationRequest) -> JsonObject:
        raise AssertionError(request)


class World:
    def __init__(self, *, safety: bool = True, **metadata: list[str]) -> None:
        self.provider, self.safety, self.call = FakeProvider(), FakeSafety(), Call(ANONYMOUS)
        self.reply: JsonObject = {"choices": [self.choice(0, "fine")], "usage": {"total_tokens": 5}}
        self.provider._answer = self._answer  # type: ignore[method-assign]
        models = [Resource("model", "m", "p", "real", {"metadata": metadata, "model_type": "llm"})]
        catalog = Catalog({"p": self.provider.list_models}, seconds=60)
        registry = Registry(MODEL, MemoryStore(), catalog, provider_ids=["p"], declared=models)
        seen = GuardedRegistry(registry, Enforcement(Policy(DEFAULT_POLICY)), ANONYMOUS)
        router = InferenceRouter(seen, {"p": self.provider}, self.call)
        self.inference = ShieldedInference(router, seen, lambda: self.safety if safety else None, self.call, POLICY)

    @staticmethod
    def choice(index: int, text: str | None, **more: Any) -> JsonObject:
        return {"index": index, "message": {"role": "assistant", "content": text, **more}, "finish_reason": "stop"}

    def _answer(self, request: Any) -> JsonObject:
        self.provider.asked.append(request)
        return self.reply

    async def chat(self, text: str = "hello", model: str = "m") -> JsonObject:
        return await self.inference.chat_completion(asking(text, model))

    async def stream(self, *chunks: JsonObject, text: str = "hello") -> list[JsonObject]:
        self.provider.chunks = list(chunks)
        stream = await self.inference.stream_chat_completion(asking(text, stream=True))
        return [chunk async for chunk in stream]


def asking(text: str, model: str = "m", **more: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": model, "messages": [{"role": "user", "content": text}], **more})


def delta(text: str, index: int = 0, name: str = "content") -> JsonObject:
    return {"id": "c", "choices": [{"index": index, "delta": {name: text}, "finish_reason": None}]}


def text_of(chunks: list[JsonObject]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


async def test_a_model_without_shields_is_asked_as_it_is() -> None:
    world = World()
    assert (await world.chat("bad"))["choices"][0]["message"]["content"] == "fine"
    assert not world.safety.judged


async def test_a_bad_question_is_refused_before_the_model_is_asked() -> None:
    world = World(input_shields=["g"])
    answer = await world.chat("something bad")
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": None, "refusal": REFUSED},
            "logprobs": None,
            "finish_reason": "content_filter",
        }
    ]
    assert (answer["object"], answer["model"], answer["usage"]["total_tokens"]) == ("chat.completion", "m", 0)
    assert not world.provider.asked
    assert world.call.tokens == 0
    assert (await world.chat("hello"))["choices"][0]["message"]["content"] == "fine"


async def test_each_bad_choice_of_an_answer_is_a_refusal_and_its_usage_stays() -> None:
    world = World(output_shields=["g", "h"])
    world.reply["choices"] = [world.choice(0, "fine"), world.choice(1, "bad"), world.choice(2, None)]
    answer = await world.chat("bad question, which nobody judges")
    said = [choice["message"] for choice in answer["choices"]]
    assert [each["content"] for each in said] == ["fine", None, None]
    assert said[1]["refusal"] == REFUSED
    assert [choice["finish_reason"] for choice in answer["choices"]] == ["stop", "content_filter", "stop"]
    assert (answer["usage"]["total_tokens"], world.call.tokens) == (5, 5)
    assert world.safety.judged == [("g", "fine"), ("h", "fine"), ("g", "bad"), ("g", ""), ("h", "")]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_reasoning_is_judged_like_the_answer(name: str) -> None:
    world = World(output_shields=["g"])
    world.reply["choices"] = [world.choice(0, "fine", **{name: "a bad thought"})]
    assert (await world.chat())["choices"][0]["message"]["refusal"] == REFUSED
    refused = await world.stream(delta("a bad thought", name=name), delta("fine"))
    assert refused[-1]["choices"][0]["delta"] == {"refusal": REFUSED}


async def test_a_bad_question_to_a_stream_is_a_streamed_refusal() -> None:
    world = World(input_shields=["g"], output_shields=["g"])
    chunks = await world.stream(delta("fine"), text="bad")
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": None},
        {"refusal": REFUSED},
        {},
    ]
    assert chunks[-1]["choices"][0]["finish_reason"] == "content_filter"
    assert not world.provider.asked
    assert world.call.tokens == 0


async def test_a_long_answer_leaves_whole_and_once() -> None:
    world = World(output_shields=["g"])
    pieces = [f"{number:04}" for number in range(300)]
    chunks = await world.stream(*(delta(piece) for piece in pieces))
    assert text_of(chunks) == "".join(pieces)
    assert [len(text) for _, text in world.safety.judged] == [WINDOW * n for n in range(1, 6)]


async def test_a_violation_without_words_for_the_user_has_words_all_the_same() -> None:
    world = World(input_shields=["g"])
    world.safety.message = None
    assert (await world.chat("bad"))["choices"][0]["message"]["refusal"].startswith("I can't answer that")


async def test_nothing_bad_leaves_and_the_stream_ends_there() -> None:
    world = World(output_shields=["g"])
    first, second = "a" * WINDOW, "bad" + "b" * WINDOW
    chunks = await world.stream(delta(first), delta("ba"), delta(second), delta("never"))
    assert text_of(chunks) == first
    assert chunks[-1]["choices"][0] == {
        "index": 0,
        "delta": {"refusal": REFUSED},
        "logprobs": None,
        "finish_reason": "content_filter",
    }
    assert world.provider.closed
    assert [len(text) for _, text in world.safety.judged] == [WINDOW, WINDOW + 2 + len(second)]


async def test_a_bad_end_does_not_leave_but_its_usage_does() -> None:
    world = World(output_shields=["g"])
    request = asking("hello", stream=True, stream_options={"include_usage": True})
    world.provider.chunks = [delta("bad"), {"choices": [], "usage": {"total_tokens": 7}}]
    chunks = [chunk async for chunk in await world.inference.stream_chat_completion(request)]
    assert text_of(chunks) == ""
    assert chunks[0]["choices"][0]["delta"] == {"refusal": REFUSED}
    assert chunks[1]["usage"] == {"total_tokens": 7}
    assert world.call.tokens == 7


@given(st.lists(st.text("dab ", max_size=150), max_size=12), st.integers(1, 3))
async def test_what_leaves_is_what_was_said_up_to_a_window_without_a_violation(pieces: list[str], choices: int) -> None:
    world = World(output_shields=["g"])
    chunks = await world.stream(*(delta(text, index % choices) for index, text in enumerate(pieces)))
    for index in range(choices):
        whole = "".join(pieces[index::choices])
        left = "".join(
            choice["delta"].get("content") or ""
            for chunk in chunks
            for choice in chunk["choices"]
            if choice["index"] == index
        )
        assert whole.startswith(left)
        assert "bad" not in left
        if not any("bad" in "".join(pieces[each::choices]) for each in range(choices)):
            assert left == whole


@pytest.mark.parametrize("shield", ["missing", "broken"])
@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_shield_that_cannot_judge_is_a_failure_and_never_a_pass(shield: str, where: str) -> None:
    world = World(
        input_shields=[shield] if where == "before" else [], output_shields=[shield] if where == "after" else []
    )
    for work in (world.chat(), world.stream(delta("fine"))):
        with pytest.raises((ProviderUnavailable, UpstreamFailed)):
            await work


async def test_a_guarded_model_in_a_stack_without_safety_is_not_asked() -> None:
    world = World(safety=False, input_shields=["g"])
    with pytest.raises(ProviderUnavailable, match="no safety provider"):
        await world.chat()
    assert not world.provider.asked


async def test_bare_completions_are_no_way_around() -> None:
    world = World(input_shields=["g"])
    answer = await world.inference.completion(CompletionRequest(model="m", prompt="something bad"))
    assert answer["choices"] == [{"index": 0, "text": REFUSED, "logprobs": None, "finish_reason": "content_filter"}]
    chunks = [
        chunk
        async for chunk in await world.inference.stream_completion(CompletionRequest(model="m", prompt=["a", "bad"]))
    ]
    assert [chunk["choices"] for chunk in chunks] == [answer["choices"]]
    assert not world.provider.asked
    assert (world.call.tokens, answer["object"]) == (0, "text_completion")
    assert (await World().inference.completion(CompletionRequest(model="m", prompt="bad")))["choices"]


async def test_bare_completions_are_judged_as_they_come() -> None:
    world = World(output_shields=["g"])
    world.reply["choices"] = [{"index": 0, "text": "bad", "finish_reason": "stop"}]
    request = CompletionRequest(model="m", prompt="hello")
    assert (await world.inference.completion(request))["choices"][0]["text"] == REFUSED
    world.provider.chunks = [{"choices": [{"index": 0, "text": text}]} for text in ("a" * WINDOW, "ba", "d")]
    chunks = [chunk async for chunk in await world.inference.stream_completion(request)]
    assert [chunk["choices"][0]["text"] for chunk in chunks] == ["a" * WINDOW, REFUSED]


async def test_what_is_embedded_is_judged_and_refused_as_an_error() -> None:
    world = World(input_shields=["g"])
    with pytest.raises(ContentRefused) as refused:
        await world.inference.embeddings(EmbeddingsRequest(model="m", input=["fine", "bad"]))
    assert (refused.value.code, refused.value.param) == ("content_filter", "input")


async def test_an_unknown_model_is_said_to_be_unknown() -> None:
    with pytest.raises(NotFound):
        await World(input_shields=["g"]).chat(model="none")


@pytest.mark.parametrize("shields", ["g", [1], [""], {"g": 1}])
def test_shields_that_are_no_list_of_ids_cannot_be_registered(shields: Any) -> None:
    for name in ("input_shields", "output_shields"):
        with pytest.raises(ValueError, match="must be a list of shield ids"):
            RegisterModel.model_validate({"model_id": "m", "metadata": {name: shields}})


async def test_a_shield_is_told_whether_it_judges_what_goes_in_or_what_comes_out() -> None:
    """A conversation may end with words that the caller lays into the model's mouth."""
    world = World(input_shields=["guard"], output_shields=["guard"])
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "Sure, "}]
    await world.inference.chat_completion(ChatRequest(model="m", messages=messages))
    await world.stream({"choices": [{"index": 0, "delta": {"content": "fine"}}]})
    assert world.safety.sources == ["INPUT", "OUTPUT", "INPUT", "OUTPUT"]
