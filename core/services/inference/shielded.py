"""Inference by models that are guarded by shields: a violation is answered by a refusal.

Which they are, core.routing.shields says: input shields judge the whole request, output shields the whole answer. They run
for the caller, who is charged for them; those of the run config run without the access policy: whoever may use the model need
not be able to see its shields. Source of the refusal's shape: https://platform.openai.com/docs/api-reference/chat/object.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, cast

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest, Inference
from core.apis.safety import INPUT, OUTPUT, RunShieldRequest, Safety
from core.errors import ContentRefused, InvalidRequest, NotFound, ProviderUnavailable
from core.frame.callers import Call
from core.frame.types import JsonObject, JsonStream
from core.routing.guard import GuardedRegistry
from core.routing.shields import ShieldPolicy

if TYPE_CHECKING:
    from core.apis.rerank import RerankRequest, Reranks
    from core.services.inference.answer_text import Answers
    from core.services.inference.refusals import Completion

WINDOW: Final = 240  # characters of text that a stream holds back until the shields have judged them
REFUSAL: Final = "I can't answer that. Can I help with something else?"
TOKEN_IDS: Final = frozenset({"return_token_ids", "return_tokens_as_token_ids"})  # fields of vLLM

type Messages = Sequence[JsonObject]
type Content = str | list[JsonObject]
type Form = Callable[[], Completion]
type ModelRequest = ChatRequest | CompletionRequest | EmbeddingsRequest | RerankRequest


class ShieldedInference:
    """An `Inference` for one caller; a model without shields is answered as by `inference` alone."""

    def __init__(
        self,
        inference: Inference,
        models: GuardedRegistry,
        safety: Callable[[], Safety | None],
        call: Call,
        policy: ShieldPolicy,
    ) -> None:
        """`policy` says which shields; what `safety` gives runs them, whoever may see them: None where the stack has no safety provider."""
        self._inference = inference
        self._models = models
        self._safety = safety
        self._call = call
        self._policy = policy

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        return await self._answer(request, _chat, self._inference.chat_completion)

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        return await self._stream(request, _chat, self._inference.stream_chat_completion)

    async def completion(self, request: CompletionRequest) -> JsonObject:
        return await self._answer(request, _completion, self._inference.completion)

    async def stream_completion(self, request: CompletionRequest) -> JsonStream:
        return await self._stream(request, _completion, self._inference.stream_completion)

    async def embeddings(self, request: EmbeddingsRequest) -> JsonObject:
        """Vectors say nothing that an output shield could judge. Raises ContentRefused for an input that says too much."""
        await self._require_clean(request, "input")
        return await self._inference.embeddings(request)

    async def rerank(self, request: "RerankRequest") -> JsonObject:
        """As embeddings: neither do scores say anything."""
        await self._require_clean(request, "documents")
        return await cast("Reranks", self._inference).rerank(request)

    async def _require_clean(self, request: "EmbeddingsRequest | RerankRequest", param: str) -> None:
        before, _ = await self._shields(request.model)
        refusal = await self._judge_input(before, request)
        if refusal is not None:
            raise ContentRefused(refusal, param=param)

    async def _answer[R: (ChatRequest, CompletionRequest)](
        self, request: R, form: Form, ask: Callable[[R], Awaitable[JsonObject]]
    ) -> JsonObject:
        before, after = await self._shields(request.model)
        refusal = await self._judge_input(before, request)
        if refusal is not None:
            return form().build_answer(request.model, refusal)
        if not after:
            return await ask(request)
        from core.services.inference.answer_text import HEAD, Answers, choices_of, index_of

        reply, answers = await ask(_without_token_ids(request)), Answers()
        answers.add(reply)
        for index, content in answers.contents().items():
            refusal = await self._judge_output(after, request, content)
            if refusal is None:
                continue
            for name in reply.keys() - HEAD:  # what is beside the choices was judged with each of them
                del reply[name]
            for choice in choices_of(reply):
                if index_of(choice) == index:
                    choice.clear()
                    choice.update(form().build_choice(index, refusal))
        return reply

    async def _stream[R: (ChatRequest, CompletionRequest)](
        self, request: R, form: Form, ask: Callable[[R], Awaitable[JsonStream]]
    ) -> JsonStream:
        before, after = await self._shields(request.model)
        refusal = await self._judge_input(before, request)
        if refusal is not None:
            return form().stream(request.model, refusal)
        if not after:
            return await ask(request)
        return self._windows(request, form, await ask(_without_token_ids(request)), after)

    async def _shields(self, model: str) -> tuple[list[str], list[str]]:
        """The ids of the input and of the output shields; none for an unknown model, which `inference` answers."""
        try:
            resource = await self._models.get(model)
        except NotFound:
            return [], []
        self._call.observed.model = model  # a refusal names it too
        return await self._policy.shields_of(self._call, resource, self._models)

    async def _judge_input(self, shields: Sequence[str], request: ModelRequest) -> str | None:
        """The refusal, if there is a violation in whatever the upstream would be sent."""
        if not shields:
            return None
        from core.services.inference.request_text import field_of, to_messages

        try:
            refusal = await self._judge(shields, to_messages(request), INPUT)
        except InvalidRequest as obstacle:
            obstacle.param = field_of(obstacle.param, request)
            raise
        if refusal is not None:
            self._call.add_tokens(0)  # known to be none; else the reservation would be charged
        return refusal

    async def _judge_output(self, shields: Sequence[str], request: ModelRequest, content: Content) -> str | None:
        """An answer that goes on what the caller laid into the model's mouth is judged together with it."""
        from core.services.inference.request_text import conversation_of

        messages = conversation_of(request)
        match messages, content:
            case [*_, {"role": "assistant", "content": str(start)}], str(text):
                content = start + text
            case _:
                pass
        return await self._judge(shields, [*messages, {"role": "assistant", "content": content}], OUTPUT)

    async def _judge(self, shields: Sequence[str], messages: Messages, source: str) -> str | None:
        """The text of the refusal where a shield finds a violation, else None.

        Raises what keeps a shield from judging: an answer that nobody judged must not get out.
        """
        safety = self._safety() if shields else None
        for shield in shields:
            if safety is None:
                raise ProviderUnavailable("The model is guarded by shields, but this stack has no safety provider.")
            request = RunShieldRequest(shield_id=shield, messages=list(messages), params={"source": source})
            try:
                violation = (await safety.run_shield(request))["violation"]
            except NotFound as unknown:
                raise ProviderUnavailable(
                    f"The model is guarded by shield `{shield}`, which does not exist."
                ) from unknown
            if violation is not None:
                return violation["user_message"] or REFUSAL
        return None

    async def _windows(
        self, request: ChatRequest | CompletionRequest, form: Form, chunks: JsonStream, shields: Sequence[str]
    ) -> JsonStream:
        """The chunks, each once its text was judged together with all text before it; a violation ends the stream.

        Chunks are held back until they have WINDOW characters of new text. Shields get everything since the start, not
        the window alone, so that a violation cannot hide by being split over two windows.
        """
        from core.services.inference.answer_text import HEAD, Answers

        buffer: list[JsonObject] = []
        answers, unjudged = Answers(), 0
        async with aclosing(chunks):
            async for chunk in chunks:
                buffer.append(chunk)
                unjudged += answers.add(chunk)
                if unjudged < WINDOW:  # judging every chunk would be a call of the guard model for each token
                    continue
                violation = await self._judge_answers(shields, request, answers)
                if violation is not None:
                    yield form().build_chunk(chunk, *violation)
                    return
                for pending in buffer:
                    yield pending
                buffer, unjudged = [], 0
        violation = await self._judge_answers(shields, request, answers) if unjudged else None
        if violation is not None:
            yield form().build_chunk(buffer[0], *violation)
            buffer = [
                {name: value for name, value in chunk.items() if name in HEAD}  # the usage, which the caller asked for
                for chunk in buffer
                if not chunk.get("choices")
            ]
        for pending in buffer:
            yield pending

    async def _judge_answers(
        self, shields: Sequence[str], request: ChatRequest | CompletionRequest, answers: "Answers"
    ) -> tuple[int, str] | None:
        """The index of the first choice with a violation, and the refusal."""
        for index, content in answers.contents().items():
            refusal = await self._judge_output(shields, request, content) if content else None
            if refusal is not None:
                return index, refusal
        return None


def _chat() -> "Completion":
    from core.services.inference.refusals import CHAT  # late: most answers are no refusals

    return CHAT


def _completion() -> "Completion":
    from core.services.inference.refusals import COMPLETION

    return COMPLETION


def _without_token_ids[R: (ChatRequest, CompletionRequest)](request: R) -> R:
    """The request without a wish for text as the ids of its tokens, which no shield reads."""
    wishes = TOKEN_IDS & (request.model_extra or {}).keys()
    return request.model_copy(update=dict.fromkeys(wishes, False)) if wishes else request
