"""The functions of autoevals, whose judge is a registered model of this stack: an extra, `pip install 'llambda[braintrust]'`.

Sources: https://github.com/braintrustdata/autoevals, and the provider inline::braintrust of Llama Stack 0.2.12 and 0.7.3.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from core.apis.answers.scoring import ScoreRow
from core.apis.scoring import ScoringFunctionOffer, ScoringProvider
from core.config.user_fields import USER
from core.errors import InvalidRequest
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject
from core.providers.braintrust.rows import ROWS

if TYPE_CHECKING:
    from core.providers.braintrust.evaluation import Evaluation

type Model = Annotated[str, Field(min_length=1, max_length=512)]

NO_JUDGE: Final = "judge_model: name the model that judges, in the params of the request or of the function."
NO_EMBEDDING: Final = "embedding_model: `{name}` compares texts by an embedding model; name one in the params of the request or of the function."
UNKNOWN: Final = "autoevals has no function `{name}` here: {names} are."


def _forget(_: object) -> None:
    return None


class Config(BaseModel):
    """The models by which is judged where the params name no others.

    `openai_api_key` is the reference's, and forgotten: the key of a model is its provider's, or what a caller brings for it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    judge_model: Annotated[Model | None, USER] = None
    embedding_model: Annotated[Model | None, USER] = None
    max_tokens: Annotated[Annotated[int, Field(ge=1, le=32_768)] | None, USER] = 2048
    max_concurrency: Annotated[int, Field(ge=1, le=200), USER] = 20
    openai_api_key: Annotated[None, BeforeValidator(_forget)] = None


class Braintrust:
    """What there is; autoevals is imported when a row is scored."""

    def __init__(self, inference: Any, config: Config) -> None:  # noqa: ANN401 - keeps Inference
        self._inference = inference
        self._config = config
        self._made: Evaluation | None = None

    @property
    def _evaluation(self) -> "Evaluation":
        if self._made is None:
            from core.providers.braintrust.evaluation import Evaluation

            self._made = Evaluation(self._inference, self._config.max_tokens, self._config.max_concurrency)
        return self._made

    def functions(self) -> Sequence[ScoringFunctionOffer]:
        models = {"judge_model": self._config.judge_model, "embedding_model": self._config.embedding_model}
        names = {name: model for name, model in models.items() if model is not None}
        return [
            ScoringFunctionOffer(
                id=f"braintrust::{name}",
                provider_resource_id=name,
                description=row.description,
                return_type={"type": "number"},
                params={"type": "basic", "aggregation_functions": ["average"], **names},
                columns=row.columns,
            )
            for name, row in ROWS.items()
        ]

    async def check_function(self, function: Resource, params: JsonObject | None = None) -> None:
        name = function.provider_resource_id
        row = ROWS.get(name)
        if row is None:
            raise InvalidRequest(UNKNOWN.format(name=name, names=", ".join(ROWS)), param="provider_scoring_fn_id")
        for field in ("judge_model", "embedding_model"):
            model = (params or {}).get(field)
            if not isinstance(model, str | None):
                raise InvalidRequest(f"{field}: must be a string.", param=field)
        if params is not None and row.asks and not params.get("judge_model"):
            raise InvalidRequest(NO_JUDGE, param="judge_model")
        if params is not None and row.embeds and not params.get("embedding_model"):
            raise InvalidRequest(NO_EMBEDDING.format(name=name), param="embedding_model")

    async def score_row(self, function: Resource, row: JsonObject, params: JsonObject) -> ScoreRow:
        return await self._evaluation.score_row(ROWS[function.provider_resource_id], row, params)

    async def health(self) -> Health:
        """It has no server of its own: its models' providers tell."""
        return Health(status="OK")

    async def close(self) -> None:
        if self._made is not None:
            await self._made.close()


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> ScoringProvider:
    """Over the Inference API of this stack."""
    del provider_id
    return Braintrust(deps["inference"], config)
