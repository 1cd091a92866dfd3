"""autoevals over models of this stack: its client asks the Inference API, as whoever's call it is.

Of autoevals' own nothing outlives a row: not its client, and not its memory of embeddings, which is of the process and has no end.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, is_dataclass
import math
from types import ModuleType
from typing import Any, Final, Protocol, cast, override
import warnings

from core.apis.answers.scoring import ScoreRow
from core.apis.inference import ChatRequest, EmbeddingsRequest, refusal_in
from core.apis.scoring import refused_judgement
from core.errors import ApiError, InvalidRequest, ProviderUnavailable, UpstreamFailed
from core.frame.types import JsonObject
from core.platform.per_loop import PerLoop
from core.providers.braintrust.assignment import best_total
from core.providers.braintrust.rows import ANSWER, CONTEXT, EXPECTED, QUESTION, Evaluator

MISSING: Final = "inline::braintrust needs autoevals: pip install 'llambda[braintrust]'"
UNREADABLE: Final = (
    "The judge's answer could not be read: it did not call the function that it was given, or not as described."
)
MOST_TEXTS: Final = 100
"""That one row may have embedded: what a model names is compared each with each."""
NO_EMBEDDING: Final[JsonObject] = {"data": [{"embedding": [0.0]}]}
LEFT: Final = r"coroutine '(EmbeddingSimilarity\._a_embed|aextract_entities|AnswerCorrectness\.\w+)' was never awaited"
NONSENSE: Final = (ValueError, LookupError, TypeError, ArithmeticError, AttributeError, RecursionError)
"""What autoevals raises over what a model has answered."""


class AsksModels(Protocol):
    async def chat_completion(self, request: ChatRequest) -> JsonObject: ...

    async def embeddings(self, request: EmbeddingsRequest) -> JsonObject: ...


@dataclass(slots=True)
class _Asks:
    """What one row asks; a text is embedded once, and always by `embedding`: autoevals forgets which at times.

    The first `failure` is kept until the row has ended: autoevals leaves coroutines where one fails.
    """

    inference: AsksModels
    options: JsonObject
    embedding: str
    failure: ApiError | None = None
    embeddings: dict[str, asyncio.Future[JsonObject]] = field(default_factory=dict[str, asyncio.Future[JsonObject]])

    async def complete(self, fields: JsonObject) -> JsonObject:
        try:
            answer = await self.inference.chat_completion(ChatRequest.model_validate(self.options | fields))
        except ApiError as failure:
            self.failure = self.failure or failure
            return {"choices": []}
        if refusal := refusal_in(answer):
            self.failure = self.failure or refused_judgement(refusal)
        return answer

    async def embed(self, text: str) -> JsonObject:
        if text not in self.embeddings:
            if len(self.embeddings) >= MOST_TEXTS:
                self.failure = self.failure or InvalidRequest(f"The row has more than {MOST_TEXTS} texts to embed.")
                return NO_EMBEDDING
            self.embeddings[text] = asyncio.ensure_future(self._embed(text))
        return await self.embeddings[text]

    async def _embed(self, text: str) -> JsonObject:
        try:
            answer = await self.inference.embeddings(EmbeddingsRequest(model=self.embedding, input=text))
        except ApiError as failure:
            self.failure = self.failure or failure
            return NO_EMBEDDING
        match answer:
            case {"data": [{"embedding": [*_]}, *_]}:
                return answer
            case _:
                self.failure = self.failure or UpstreamFailed("The embedding model did not answer with an embedding.")
                return NO_EMBEDDING


class Evaluation:
    """At most `at_once` rows are under way in this process."""

    def __init__(self, inference: AsksModels, max_tokens: int | None, at_once: int) -> None:
        self._inference = inference
        self._options: JsonObject = {} if max_tokens is None else {"max_tokens": max_tokens}

        @asynccontextmanager
        async def places(_: str) -> AsyncGenerator[asyncio.Semaphore]:
            yield asyncio.Semaphore(at_once)

        self._places = PerLoop(places)

    async def score_row(self, evaluator: Evaluator, row: Mapping[str, Any], params: JsonObject) -> ScoreRow:
        """`{"score", "metadata"}`; raises ProviderUnavailable without autoevals, and whatever Inference raises."""
        library, asks = _library(), _Asks(self._inference, self._options, params.get("embedding_model", ""))
        scorer = _scorer(library, evaluator, _client(library, asks), params)
        columns = {"output": row.get(ANSWER, ""), "expected": row.get(EXPECTED), "input": row.get(QUESTION)}
        async with await self._places.get():
            score = await _evaluate(scorer, columns | {"context": row.get(CONTEXT)})
        if asks.failure is not None:
            raise asks.failure
        return score

    async def close(self) -> None:
        await self._places.close()


async def _evaluate(scorer: Any, columns: Mapping[str, Any]) -> ScoreRow:  # noqa: ANN401 - autoevals'
    try:
        score = await scorer.eval_async(**columns)
    except NONSENSE:
        return {"score": None, "error": UNREADABLE}
    number = _plain(score.score)
    if not isinstance(number, int | float):
        return {"score": None, "error": UNREADABLE}
    return {"score": number, "metadata": _plain(score.metadata)}


def _library() -> ModuleType:
    try:
        import autoevals  # pyright: ignore[reportMissingTypeStubs]
        from autoevals import string  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise ProviderUnavailable(MISSING) from None
    # Of two coroutines it awaits the first, and leaves the other where that fails.
    warnings.filterwarnings("ignore", LEFT, RuntimeWarning)
    cast("Any", string).EmbeddingSimilarity._CACHE = _Forgetful()  # noqa: SLF001 - it has no setting for that
    return cast("ModuleType", autoevals)


class _Forgetful(dict[object, object]):
    """A memory that keeps nothing."""

    @override
    def __setitem__(self, key: object, value: object) -> None:
        pass


def _scorer(library: ModuleType, evaluator: Evaluator, client: Any, params: JsonObject) -> Any:  # noqa: ANN401 - autoevals'
    kind, embedding = getattr(library, evaluator.name), params.get("embedding_model")
    if not evaluator.asks:
        return kind(model=embedding, client=client)
    if evaluator.name == "ContextEntityRecall":
        scorer = kind(model=params["judge_model"], client=client)
        scorer.contains_scorer = _Contains(library.string.EmbeddingSimilarity(model=embedding, client=client))
        return scorer
    more = {"embedding_model": embedding} if evaluator.embeds else {}
    return kind(model=params["judge_model"], client=client, **more)


class _Contains:
    """In the place of autoevals' ListContains, which wants scipy."""

    def __init__(self, likeness: Any) -> None:  # noqa: ANN401 - autoevals' EmbeddingSimilarity
        self._likeness = likeness

    async def eval_async(self, output: list[str], expected: list[str]) -> Any:  # noqa: ANN401 - has a `score`
        from autoevals.score import Score  # pyright: ignore[reportMissingTypeStubs]

        if not output or not expected:
            return Score(name="ListContains", score=float(not output and not expected))
        if len({*output, *expected}) > MOST_TEXTS:
            raise InvalidRequest(f"The row names more than {MOST_TEXTS} things.")
        rows = [[(await self._likeness.eval_async(one, other)).score for other in expected] for one in output]
        return Score(name="ListContains", score=min(max(best_total(rows) / len(expected), 0.0), 1.0))


def _client(library: ModuleType, asks: _Asks) -> Any:  # noqa: ANN401 - autoevals' LLMClient
    class Client(library.oai.LLMClient):  # type: ignore[misc, name-defined]
        RateLimitError = _Never
        is_wrapped = False

        def __init__(self) -> None:
            """Not the base's, which imports OpenAI's client."""

        async def complete(self, **fields: object) -> JsonObject:
            return await asks.complete(fields)

        async def embed(self, **fields: object) -> JsonObject:
            return await asks.embed(str(fields["input"]))

    return Client()


class _Never(Exception):
    """What autoevals tries again after: the stack does that itself."""


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Metadata as JSON: scores may be within."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain({name: part for name, part in asdict(value).items() if part is not None})
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in cast("dict[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in cast("list[object]", value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # a model can write NaN
    return value if isinstance(value, str | int | None) else str(value)
