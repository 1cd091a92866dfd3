"""Models as judges, over the Inference API: any registered model of this stack, as the caller may use it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from core.apis.answers.scoring import ScoreRow
from core.apis.scoring import ScoringFunctionOffer, ScoringProvider
from core.config.user_fields import USER
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject
from core.providers.llm_judge.prompts import BASE, BASE_REGEX, SIMPLE_QA, SIMPLE_QA_REGEX, names_in

if TYPE_CHECKING:
    from core.providers.llm_judge.judge import Judge

COLUMNS: Final = ("input_query", "expected_answer", "generated_answer")


class Config(BaseModel):
    """`judge_model` judges where neither a request nor a function names another; null for `temperature` or `max_tokens` leaves it to the model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    judge_model: Annotated[Annotated[str, Field(min_length=1, max_length=512)] | None, USER] = None
    temperature: Annotated[Annotated[float, Field(ge=0, le=2)] | None, USER] = 0.0
    max_tokens: Annotated[Annotated[int, Field(ge=1, le=32_768)] | None, USER] = 1024
    max_concurrency: Annotated[int, Field(ge=1, le=200), USER] = 20


class LlmJudge:
    """What there is; how models are asked is imported when one is."""

    def __init__(self, inference: Any, config: Config) -> None:  # noqa: ANN401 - keeps Inference
        self._inference = inference
        self._config = config
        self._made: Judge | None = None

    @property
    def _judge(self) -> "Judge":
        if self._made is None:
            from core.providers.llm_judge.judge import Judge

            options = {"temperature": self._config.temperature, "max_tokens": self._config.max_tokens}
            set_options = {name: value for name, value in options.items() if value is not None}
            self._made = Judge(self._inference, set_options, self._config.max_concurrency)
        return self._made

    def functions(self) -> Sequence[ScoringFunctionOffer]:
        model = self._config.judge_model
        judge = {} if model is None else {"judge_model": model}
        return (
            ScoringFunctionOffer(
                id="llm-as-judge::base",
                provider_resource_id="llm-as-judge-base",
                description="A model says how good an answer is, by a prompt of yours or by one that asks for a number from 0 to 10.",
                return_type={"type": "number"},
                params={
                    "type": "llm_as_judge",
                    **judge,
                    "prompt_template": BASE,
                    "judge_score_regexes": [BASE_REGEX],
                    "aggregation_functions": [],
                },
                columns=COLUMNS,
            ),
            ScoringFunctionOffer(
                id="llm-as-judge::405b-simpleqa",
                provider_resource_id="llm-as-judge-405b-simpleqa",
                description="A model grades an answer to a question of facts: A is correct, B is incorrect, C is not attempted.",
                return_type={"type": "string"},
                params={
                    "type": "llm_as_judge",
                    **judge,
                    "prompt_template": SIMPLE_QA,
                    "judge_score_regexes": [SIMPLE_QA_REGEX],
                    "aggregation_functions": ["categorical_count"],
                },
                columns=COLUMNS,
            ),
        )

    def columns(self, function: Resource, params: JsonObject) -> Sequence[str]:
        del function
        return names_in(params.get("prompt_template") or "")

    async def check_function(self, function: Resource, params: JsonObject | None = None) -> None:
        """A function may be registered without a judge: then each request names one."""
        from core.providers.llm_judge.judge import check_params

        own = self._params_of(function) if params is None else params
        check_params(own, is_complete=params is not None)

    async def score_row(self, function: Resource, row: JsonObject, params: JsonObject) -> ScoreRow:
        return await self._judge.score_row(function, row, params)

    async def health(self) -> Health:
        """It has no server of its own: its model's provider tells."""
        return Health(status="OK")

    async def close(self) -> None:
        if self._made is not None:
            await self._made.close()

    def _params_of(self, function: Resource) -> JsonObject:
        """Over those of the built-in function whose name within the provider it has, if it has one's."""
        names = {offer["provider_resource_id"]: offer["params"] for offer in self.functions()}
        return names.get(function.provider_resource_id, {}) | (function.attributes.get("params") or {})


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> ScoringProvider:
    """Over the Inference API of this stack."""
    del provider_id
    return LlmJudge(deps["inference"], config)
