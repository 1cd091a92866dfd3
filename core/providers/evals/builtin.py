"""`inline::meta-reference` and `inline::builtin`: evaluations by the jobs of the stack.

Source: the provider's config of Llama Stack 0.2.12 and 0.7.3.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from core.apis.evals import AT_ONCE, WAIT_SECONDS, EvalProvider, EvalSettings
from core.config.records import Record, Whole
from core.config.user_fields import USER
from core.errors import InvalidRequest, NotFound
from core.frame.resources import Resource
from core.frame.types import Health

if TYPE_CHECKING:
    from core.apis.datasets import DatasetRows
    from core.apis.scoring import RowScoring

NO_DATASET = "dataset_id: there is no dataset `{}`. Register it first."
NO_FUNCTION = "scoring_functions: {}"


class Config(Record):
    """`kvstore` is the reference's and has no effect: `storage.stores.jobs` says where evaluations are kept.

    `wait_seconds` is how long a request for an evaluation waits for its end, `max_concurrent_rows` how many rows a worker has under way.
    """

    kvstore: dict[str, Any] | None = None
    wait_seconds: Annotated[Annotated[float, Field(ge=0, le=25)], USER] = WAIT_SECONDS
    max_concurrent_rows: Annotated[Annotated[Whole, Field(ge=1, le=200)], USER] = AT_ONCE


class StackEvals:
    """Leaves every evaluation to the jobs of the stack."""

    def __init__(self, settings: EvalSettings, rows: "DatasetRows", scoring: "RowScoring") -> None:
        """The other two are the caller's, who registers a benchmark."""
        self.settings = settings
        self._rows = rows
        self._scoring = scoring

    async def check_benchmark(self, benchmark: Resource) -> None:
        """Its dataset and its functions are there, and the caller may use them."""
        dataset_id = benchmark.attributes["dataset_id"]
        try:
            await self._rows.purpose(dataset_id)
        except NotFound:
            raise InvalidRequest(NO_DATASET.format(dataset_id), param="dataset_id") from None
        for name in dict.fromkeys(benchmark.attributes["scoring_functions"]):
            try:
                await self._scoring.prepare({name: None})
            except NotFound as missing:
                raise InvalidRequest(NO_FUNCTION.format(missing.message), param="scoring_functions") from None
            except InvalidRequest:
                """What its params lack, as a judge, an evaluation says."""

    async def health(self) -> Health:
        """It asks nobody itself."""
        return Health(status="OK")

    async def close(self) -> None:
        """Nothing is open."""


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> EvalProvider:
    """Over the datasets and the scoring functions of the stack."""
    del provider_id
    settings = EvalSettings(config.max_concurrent_rows, config.wait_seconds)
    return StackEvals(settings, deps["dataset_rows"], deps["row_scoring"])
