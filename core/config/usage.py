"""`server.usage` as records. They are apart from the run config's, and validated where they are used: most cold starts use none of them."""

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from core.apis.prices import CURRENCY, FOREIGN, Price, parse_price
from core.config.records import Database, Record, Text, Whole, record_of_nothing
from core.config.security import RETENTION_DAYS

if TYPE_CHECKING:
    from core.config.document import RunConfig

TWO_STORES: Final = "is for stacks without server.quota, whose store has the usage too; remove it"
NO_STORE: Final = "needs a store: name one at server.usage.kvstore, or configure server.quota"


type MetricBy = Literal["caller", "team", "model"]


def _known_currency(value: object) -> object:
    if value != CURRENCY:
        raise ValueError(FOREIGN)
    return value


class PriceRow(Record):
    """What models of one provider cost, or of every provider of a type: those whose names there are like `model`, in which `*` is any text."""

    provider_id: Text | None = None
    provider_type: Text | None = None
    model: Text
    price: Annotated[Any, BeforeValidator(parse_price)]

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.provider_id is None) == (self.provider_type is None):
            raise ValueError("give either provider_id or provider_type")
        return self

    @property
    def rates(self) -> Price:
        price: Price = self.price
        return price


class UsageConfig(Record):
    """How calls are counted as usage, and what they cost.

    None as `enabled` counts where there is a quota, whose store has the usage, or a `kvstore`, which is for stacks without one.
    `caller_in_log`: whether the lines of requests have the caller's id.
    `metric_by`: what its spend is a metric by, beside function, operation, provider and model; `caller` is the caller's id.
    `prices`: of several rows about a model the first counts, before what its metadata and the list that ships say.
    `unpriced` is what becomes of a call whose cost nobody knows, for who has a limit of money.
    """

    enabled: bool | None = None
    kvstore: Database | None = None
    retention_days: Annotated[Whole, Field(ge=1, le=3650)] = RETENTION_DAYS
    caller_in_log: bool = False
    metric_by: tuple[MetricBy, ...] = ()
    currency: Annotated[Literal["USD"], BeforeValidator(_known_currency)] = "USD"
    prices: tuple[PriceRow, ...] = Field(default=(), max_length=1000)
    unpriced: Literal["refuse", "allow"] = "refuse"


def usage_of(config: "RunConfig") -> UsageConfig:
    """What the run config says, or nothing."""
    nothing = None if config.server.usage else record_of_nothing(UsageConfig)  # for which no validator is built
    return UsageConfig.model_validate(config.server.usage) if nothing is None else nothing


def store_problem(usage: UsageConfig, *, has_quota: bool) -> tuple[str, str] | None:
    """Where there is something wrong with the place of usage, and what; None where nothing is."""
    if has_quota and usage.kvstore is not None:
        return "server.usage.kvstore", TWO_STORES
    if usage.enabled and not has_quota and usage.kvstore is None:
        return "server.usage.enabled", NO_STORE
    return None
