"""How a candidate is asked: samplings by whichever name, messages of either API, and what an agent answered."""

import json
from types import SimpleNamespace
from typing import cast

import pytest

from core.apis.agents import MOST_MESSAGES, NewSession, NewTurn
from core.apis.evals import AgentCandidate, BenchmarkConfig, ModelCandidate
from core.apis.inference import ChatRequest, CompletionRequest
from core.apis.native import SamplingParams
from core.errors import InvalidRequest, NotFound
from core.frame.callers import ANONYMOUS, Call
from core.frame.types import JsonObject
from core.services.evals.candidates import AskedAgent, AskedModel, answer_of, chat_request, sampling_of, turn_messages
from core.services.evals.rows import ChatInput, CompletionInput, input_of
from core.services.parts import Parts

HI = {"role": "user", "content": "Hi"}


def _chat(sampling: dict[str, object] | None, row: dict[str, object], **candidate: object) -> dict[str, object]:
    body = {"type": "model", "model": "m", **({"sampling_params": sampling} if sampling else {}), **candidate}
    asked = input_of(row)
    assert isinstance(asked, ChatInput)
    request = chat_request(ModelCandidate.model_validate(body), asked)
    return request.model_dump(mode="json", exclude_none=True)


@pytest.mark.parametrize(
    ("sampling", "options"),
    [
        ({"temperature": 0.0}, {"temperature": 0.0}),
        ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}),
        ({"strategy": {"type": "greedy"}, "temperature": 0.7}, {"temperature": 0.0}),
        ({"strategy": {"type": "top_p", "temperature": 0.3, "top_p": 0.8}}, {"temperature": 0.3, "top_p": 0.8}),
        ({"max_tokens": 7, "repeat_penalty": 1.3}, {"max_tokens": 7, "repetition_penalty": 1.3}),
        ({"temperature": 0.1, "max_tokens": 0, "repeat_penalty": 1.0}, {"temperature": 0.1}),
    ],
)
def test_samplings_are_read_from_a_strategy_or_from_the_top(
    sampling: dict[str, object], options: dict[str, object]
) -> None:
    chat = _chat(sampling, {"question": "Hi"})
    assert {name: chat.get(name) for name in options} == options
    assert ("max_tokens" in chat) == ("max_tokens" in options)


def test_a_sampling_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="temperature"):
        sampling_of(SamplingParams.model_validate({"temperature": "warm"}))


def test_a_system_message_comes_first_and_messages_keep_their_words() -> None:
    system = {"role": "system", "content": "Be brief."}
    openai = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,x"}}]}]
    assert _chat(None, {"messages": openai}, system_message=system)["messages"] == [system, *openai]
    native = [{"role": "user", "content": {"type": "text", "text": "Hi"}}]
    assert _chat(None, {"chat_completion_input": json.dumps(native)})["messages"] == [HI]


@pytest.mark.parametrize("message", [{"role": "nobody", "content": "Hi"}, {"content": "Hi"}])
def test_a_message_that_is_none_is_refused_with_its_column(message: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match="chat_completion_input"):
        _chat(None, {"chat_completion_input": [message]})


def test_an_agent_is_asked_what_users_say() -> None:
    talk = ChatInput([{"role": "system", "content": "Be brief."}, HI], "messages")
    assert turn_messages(talk) == [HI]
    assert turn_messages(CompletionInput("Once")) == [{"role": "user", "content": "Once"}]
    picture = {"role": "user", "content": [{"type": "image", "image": {"url": {"uri": "data:,x"}}}]}
    assert turn_messages(ChatInput([picture], "chat_completion_input", native=True)) == [picture]
    with pytest.raises(InvalidRequest, match="messages"):
        turn_messages(ChatInput([{"role": "system", "content": "Be brief."}], "messages"))
    with pytest.raises(InvalidRequest, match="chat_completion_input: content"):
        turn_messages(ChatInput([{"role": "user"}], "chat_completion_input", native=True))


def test_what_an_agent_read_is_the_context_of_its_answer() -> None:
    step = {"tool_responses": [{"tool_name": "knowledge_search", "content": [{"type": "text", "text": "found"}]}]}
    other = {"tool_responses": [{"tool_name": "web_search", "content": "no"}]}
    turn = {"output_message": {"content": "A."}, "steps": [step, other, {"model_response": {}}]}
    assert answer_of(turn) == {"generated_answer": "A.", "context": "found"}
    assert answer_of({"output_message": {"content": "A."}, "steps": []}) == {"generated_answer": "A."}


def test_a_config_is_kept_as_it_was_sent() -> None:
    config = {
        "type": "benchmark",
        "eval_candidate": {"type": "model", "model": "m", "sampling_params": {"temperature": 0.0}},
        "scoring_params": {"basic::equality": {"type": "basic", "aggregation_functions": ["accuracy"]}},
        "num_examples": 3,
    }
    parsed = BenchmarkConfig.model_validate(config)
    assert parsed.model_dump(mode="json", exclude_unset=True) == config


class Models:
    """The surface of models, which has no choice for an empty prompt."""

    async def completion(self, request: CompletionRequest) -> JsonObject:
        return {"choices": [{"text": f"{request.prompt} upon"}] if request.prompt else []}

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        return {"choices": [{"message": {"content": None, "tool_calls": []}, "seen": len(request.messages)}]}


class Agents:
    """The surface of agents: `sessions` are those that are there; a turn of `fail` fails."""

    def __init__(self) -> None:
        self.sessions: list[str] = []

    async def create_session(self, request: NewSession, agent_id: str) -> JsonObject:
        self.sessions.append(f"{agent_id}/{request.session_name}")
        return {"session_id": self.sessions[-1]}

    async def create_turn(self, request: NewTurn, *, agent_id: str, session_id: str) -> JsonObject:
        assert self.sessions == [session_id]
        [message] = request.messages
        if message.content == "fail":
            raise NotFound(agent_id)
        return {"output_message": {"content": f"{agent_id}: {message.content}"}}

    async def delete_session(self, agent_id: str, session_id: str) -> None:
        assert session_id.startswith(agent_id)
        self.sessions.remove(session_id)


def parts_of(**surfaces: object) -> Parts:
    return cast("Parts", SimpleNamespace(surfaces={name: lambda _, it=it: it for name, it in surfaces.items()}))


async def test_a_model_generates_a_completion_or_the_text_of_a_message_or_nothing() -> None:
    candidate, call = ModelCandidate.model_validate({"type": "model", "model": "m"}), Call(ANONYMOUS)
    model = AskedModel(parts_of(inference=Models()), candidate)
    assert model.name == "m"
    for row, answer in (
        ({"completion_input": "Once"}, "Once upon"),
        ({"completion_input": ""}, ""),
        ({"question": "Hi"}, ""),
    ):
        assert await model.generate(row, call) == {"generated_answer": answer}
    with pytest.raises(NotFound, match="no models"):
        await AskedModel(parts_of(), candidate).generate({"question": "Hi"}, call)


async def test_a_session_goes_when_its_row_has_its_answer_or_none() -> None:
    candidate = AgentCandidate.model_validate({"type": "agent", "config": {"model": "m", "instructions": ""}})
    agents, call = Agents(), Call(ANONYMOUS)
    agent = AskedAgent(parts_of(agents=agents), candidate, "a1")
    assert agent.name == "m"
    assert await agent.generate({"question": "Hi"}, call) == {"generated_answer": "a1: Hi"}
    assert agents.sessions == []
    too_many = {"messages": [{"role": "user", "content": "Hi"}] * (MOST_MESSAGES + 1)}
    for row, failure in (({"question": "fail"}, NotFound), (too_many, InvalidRequest)):
        with pytest.raises(failure):
            await agent.generate(row, call)
        assert agents.sessions == []
    with pytest.raises(NotFound, match="no agents"):
        await AskedAgent(parts_of(), candidate, "a1").generate({"question": "Hi"}, call)
