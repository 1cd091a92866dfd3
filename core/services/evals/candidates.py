"""Candidates: a model, or an agent in a session of its own for each row, asked as whoever evaluates it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final, Protocol, cast

from pydantic import ValidationError

from core.apis.evals import AgentCandidate, Candidate, ModelCandidate
from core.apis.inference import ChatRequest, CompletionRequest, refusal_in
from core.apis.native import Message, NativeChatRequest, NativeCompletionRequest, SamplingParams, SamplingStrategy
from core.apis.parsing import refusal_of
from core.errors import ApiError, InvalidRequest, NotFound
from core.frame.callers import Call
from core.frame.types import JsonObject
from core.platform.concurrency import undoing
from core.platform.json_values import is_list, to_object
from core.services.evals.rows import GENERATED, ChatInput, CompletionInput, RowInput, input_of, text_of
from core.services.inference.native.messages import to_openai_messages
from core.services.inference.native.request import to_openai_chat, to_openai_completion
from core.services.parts import Parts, surface_for

REFUSED: Final = "refused"
"""Of a generation: the model, or a shield of its, would not answer, and `generated_answer` says so."""
DIGITS: Final = 48  # of an agent's id, in hex
KNOWLEDGE_SEARCH: Final = "knowledge_search"
BLANK: Final = Message.model_construct(role="user", content="")
"""Where messages are OpenAI's already, and the sampling alone is translated."""
NO_INFERENCE: Final = "This stack serves no models: it has no provider of `inference`."
NO_AGENTS: Final = "This stack serves no agents: it has no provider of `responses`."


class Asked(Protocol):
    """A candidate, ready to be asked; `name` is what its tokens are counted under."""

    @property
    def name(self) -> str: ...

    def request(self, row: JsonObject) -> ChatRequest | CompletionRequest:
        """What its model is asked first, as far as that is known before; raises InvalidRequest."""
        ...

    async def generate(self, row: JsonObject, call: Call) -> JsonObject:
        """`{"generated_answer", "context"?, "refused"?}`; raises InvalidRequest for a row without an input, and what the candidate raises."""
        ...


class AskedModel:
    """A model of the registry."""

    def __init__(self, parts: Parts, candidate: ModelCandidate) -> None:
        self._parts = parts
        self._candidate = candidate

    @property
    def name(self) -> str:
        return self._candidate.model

    async def generate(self, row: JsonObject, call: Call) -> JsonObject:
        surface: Any = surface_for(self._parts, "inference", call)
        if surface is None:
            raise NotFound(NO_INFERENCE)
        request = self.request(row)
        if isinstance(request, CompletionRequest):
            return generation_of(await surface.completion(request))
        return generation_of(await surface.chat_completion(request))

    def request(self, row: JsonObject) -> ChatRequest | CompletionRequest:
        row_input = input_of(row)
        if isinstance(row_input, CompletionInput):
            return completion_request(self._candidate, row_input)
        return chat_request(self._candidate, row_input)


class AskedAgent:
    """The agent of this id; each row has a session of its own, which goes when it has answered."""

    def __init__(self, parts: Parts, candidate: AgentCandidate, agent_id: str) -> None:
        self._parts = parts
        self._candidate = candidate
        self._agent_id = agent_id

    @property
    def name(self) -> str:
        return self._candidate.config.model

    def request(self, row: JsonObject) -> ChatRequest:
        """Its instructions and what users say, without its tools."""
        config = self._candidate.config
        messages = [{"role": "system", "content": config.instructions}, *turn_messages(input_of(row))]
        most = None if config.sampling_params is None else config.sampling_params.max_tokens
        return ChatRequest.model_construct(model=config.model, messages=messages, max_tokens=most)

    async def generate(self, row: JsonObject, call: Call) -> JsonObject:
        from core.apis.agents import NewSession, NewTurn  # late: few candidates are agents

        agents = agents_for(self._parts, call)
        messages = turn_messages(input_of(row))
        session = await agents.create_session(NewSession(session_name="evaluation"), self._agent_id)
        session_id: str = session["session_id"]

        async def forget() -> None:
            with suppress(ApiError):  # what the turn failed by is what is told
                await agents.delete_session(self._agent_id, session_id)

        async with undoing(forget):
            try:
                request = NewTurn.model_validate({"messages": messages})
            except ValidationError as invalid:
                raise refusal_of(invalid) from None
            turn: JsonObject = await agents.create_turn(request, agent_id=self._agent_id, session_id=session_id)
        await forget()
        return answer_of(turn)


def completion_request(candidate: ModelCandidate, asked: CompletionInput) -> CompletionRequest:
    """Raises InvalidRequest for a prompt that is no text."""
    sampling = sampling_of(candidate.sampling_params)
    return to_openai_completion(
        NativeCompletionRequest(model_id=candidate.model, content=asked.content, sampling_params=sampling)
    )


def chat_request(candidate: ModelCandidate, asked: ChatInput) -> ChatRequest:
    """The candidate's system message first; raises InvalidRequest for what is no conversation."""
    messages = native_messages(asked) if asked.native else [BLANK]
    sampling = sampling_of(candidate.sampling_params)
    chat = to_openai_chat(NativeChatRequest(model_id=candidate.model, messages=messages, sampling_params=sampling))
    system = candidate.system_message
    head = [] if system is None else to_openai_messages([system], "system_message")
    request = chat.model_copy(update={"messages": [*head, *(chat.messages if asked.native else asked.messages)]})
    request.check_body()
    return request


def agents_for(parts: Parts, call: Call | None) -> Any:  # noqa: ANN401 - the surface `agents`
    """Raises NotFound where the stack has none."""
    agents = surface_for(parts, "agents", call)
    if agents is None:
        raise NotFound(NO_AGENTS)
    return agents


def agent_of(job_id: str) -> str:
    """The id of the agent that a job evaluates: whoever prepares it again, or sees it off, knows it."""
    return f"agent_{sha256(f'{job_id}/agent'.encode()).hexdigest()[:DIGITS]}"


async def keep_agent(parts: Parts, candidate: AgentCandidate, call: Call, agent_id: str) -> None:
    """It is there from now on, under this id; raises InvalidRequest for a config that makes no sense."""
    from core.apis.agents import NewAgent

    request = NewAgent(agent_config=candidate.config)
    request.check_body()
    await agents_for(parts, call).keep(request, agent_id)


async def forget_agent(parts: Parts, agent_id: str, call: Call | None) -> None:
    """With its sessions; one that is gone does not matter. Without a call as the stack itself."""
    with suppress(NotFound):
        await agents_for(parts, call).delete(agent_id)


@asynccontextmanager
async def asking(parts: Parts, candidate: Candidate, call: Call) -> AsyncGenerator[Asked]:
    """The candidate for as long as one request takes."""
    if isinstance(candidate, ModelCandidate):
        yield AskedModel(parts, candidate)
        return
    from core.services.evals.request_agents import agent_for_request  # late: few candidates are agents

    async with agent_for_request(parts, candidate, call) as agent:
        yield agent


def sampling_of(params: SamplingParams | None) -> SamplingParams | None:
    """With a strategy of what stands at the top, and the other name of a penalty."""
    if params is None:
        return None
    extra = params.model_extra or {}
    changes: JsonObject = {}
    if params.strategy is None and (extra.get("temperature") is not None or extra.get("top_p") is not None):
        try:
            changes["strategy"] = SamplingStrategy(
                type="top_p", temperature=extra.get("temperature"), top_p=extra.get("top_p")
            )
        except ValidationError as invalid:
            raise refusal_of(invalid) from None
    penalty = extra.get("repeat_penalty")
    if isinstance(penalty, int | float) and "repetition_penalty" not in params.model_fields_set:
        changes["repetition_penalty"] = penalty
    return params.model_copy(update=changes)


def native_messages(asked: ChatInput) -> list[Message]:
    """Raises InvalidRequest for what is no message of 0.2."""
    try:
        return [Message.model_validate(message) for message in asked.messages]
    except ValidationError as invalid:
        fault = refusal_of(invalid)
        raise InvalidRequest(f"{asked.column}: {fault.message}", param=asked.column) from None


def turn_messages(asked: RowInput) -> list[JsonObject]:
    """What users say: a turn has nothing else. Raises InvalidRequest for what is no message of 0.2, and where none is a user's."""
    if isinstance(asked, CompletionInput):
        return [{"role": "user", "content": asked.content}]
    users = [message for message in asked.messages if to_object(message).get("role") == "user"]
    if not users:
        raise InvalidRequest(f"{asked.column}: an agent is asked what a user says, and no user says anything.")
    if asked.native:
        contents = [message.content for message in native_messages(replace(asked, messages=users))]
    else:
        contents = [text_of(message.get("content")) for message in users]
    return [{"role": "user", "content": content} for content in contents]


def answer_of(turn: JsonObject) -> JsonObject:
    """What an agent answered, and what it read in its knowledge before."""
    generation = {GENERATED: text_of(to_object(turn.get("output_message")).get("content"))}
    steps = cast("list[JsonObject]", turn.get("steps") or [])
    answers = [answer for step in steps for answer in step.get("tool_responses") or ()]
    contexts = [text_of(answer.get("content")) for answer in answers if answer.get("tool_name") == KNOWLEDGE_SEARCH]
    return {**generation, "context": " ".join(contexts)} if contexts else generation


def generation_of(answer: JsonObject) -> JsonObject:
    """What a model answered; a refusal is what users get, and is scored as that."""
    choices = answer.get("choices")
    choice = to_object(choices[0]) if is_list(choices) and choices else {}
    refusal = refusal_in(answer)
    text = choice.get("text") or to_object(choice.get("message")).get("content") or refusal
    is_refused = refusal or choice.get("finish_reason") == "content_filter"
    return {GENERATED: text, REFUSED: True} if is_refused else {GENERATED: text}
