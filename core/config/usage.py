"""`server.usage` as records. They are apart from the run config's, and validated where they are used: most cold starts use none of them."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from core.apis.prices import CURRENCY, FOREIGN, Price, parse_price
from core.config.records import Record, Text

if TYPE_CHECKING:
    from core.config.document import RunConfig


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
    """What calls cost: of several rows about a model the first counts, before what its metadata and the list that ships say."""

    currency: Annotated[Literal["USD"], BeforeValidator(_known_currency)] = "USD"
    prices: tuple[PriceRow, ...] = Field(default=(), max_length=1000)


def usage_of(config: "RunConfig") -> UsageConfig:
    """What the run config says, or nothing."""
    return UsageConfig.model_validate(config.server.usage)
