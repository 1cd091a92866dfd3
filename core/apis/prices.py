"""What the answers of a model cost. Money is whole pico-USD while it is counted and whole nano-USD once it is kept: never a float."""

from dataclasses import dataclass, replace
import re
from typing import TYPE_CHECKING, Final, Protocol

from core.frame.callers import UsageRow
from core.platform.json_values import to_object

if TYPE_CHECKING:
    from core.frame.types import JsonObject, Wire

CURRENCY: Final = "USD"
RATES: Final = ("input", "cached_input", "cache_write", "cache_write_1h", "output", "per_request")
TOKENS: Final = 1_000_000  # that a rate is for
PICOS: Final = 1_000_000_000_000  # in one USD
SHARES: Final = 1_000_000  # of one whole
DECIMALS: Final = 6  # of a rate: so that a token costs whole pico-USD
AMOUNT: Final = re.compile(rf"([0-9]{{1,6}})(?:\.([0-9]{{1,{DECIMALS}}}))?")
NO_AMOUNT: Final = f"must be USD{{}}: a number below 1000000, 0 or more, with at most {DECIMALS} decimals"
BATCH: Final = "batch"
NO_SHARE: Final = f"price.{BATCH} must be what a provider's own batch costs: a share of the other rates, from 0 to 1, or rates of its own"
FOREIGN: Final = f"must be {CURRENCY}: this stack counts in no other currency"


@dataclass(frozen=True, slots=True)
class Price:
    """In pico-USD: of a token by what it is, and of a request. None is a rate that nobody said.

    Cached tokens, and those written to a cache, cost what others of the prompt do where nothing else is said, and those
    written for an hour what those written for less do. Beside a `per_request` alone tokens are free. 0 is free too, and known.
    `batch` is what the same costs in a batch that the provider runs itself, None where nobody said it.
    """

    input: int | None = None
    cached_input: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    per_request: int | None = None
    batch: "Price | None" = None

    def picos(self, row: UsageRow, requests: int, for_an_hour: int = 0) -> int | None:
        """What an answer cost, of so many `requests` as its provider bills them; None where a rate that it needs is not known.

        Of the tokens written to a cache so many are there `for_an_hour`.
        """
        write = _first(self.cache_write, self.input)
        return self._sum(
            requests,
            (row.prompt_tokens - row.cached_tokens - row.cache_write_tokens, self.input),
            (row.cached_tokens, _first(self.cached_input, self.input)),
            (row.cache_write_tokens - for_an_hour, write),
            (for_an_hour, _first(self.cache_write_1h, write)),
            (row.completion_tokens, self.output),
        )

    def most_picos(self, prompt: int, completion: int, requests: int) -> int | None:
        """What an answer of so many tokens costs at most, whatever of its prompt is cached; None where nobody knows."""
        rates = [self.input, self.cached_input, self.cache_write, self.cache_write_1h]
        dearest = max((rate for rate in rates if rate is not None), default=None)
        is_known = self.input is not None or self.per_request is not None
        return self._sum(requests, (prompt, dearest if is_known else None), (completion, self.output))

    def share(self, millionths: int) -> "Price":
        """So much of each rate, rounded up."""
        rates = (self.input, self.cached_input, self.cache_write, self.cache_write_1h, self.output, self.per_request)
        input_, cached, write, write_1h, output, request = (
            None if rate is None else -(-rate * millionths // SHARES) for rate in rates
        )
        return Price(input_, cached, write, write_1h, output, request)

    def _sum(self, requests: int, *parts: tuple[int, int | None]) -> int | None:
        total = requests * (self.per_request or 0)
        for tokens, rate in parts:
            if rate is not None:
                total += tokens * rate
            elif tokens and self.per_request is None:
                return None
        return total


class MoneyBounds(Protocol):
    """The surface `money` of the service of inference: what calls may cost before they run."""

    async def most_nanos(self, model: str, body: "Wire", tokens: int, requests: int = 1) -> int:
        """In nano-USD: of a call that asks `model`, as the caller names it, with this body, of so many prompts, and makes `tokens` at most.

        It is what the dearest of the model's places asks for it. Other models that the call causes, as guards and judges, are not
        in it, nor what a model is told beside the body. A call that names no model (""), or one that is not there for the caller,
        is 1: it is answered as if money were not limited.

        Raises:
            PriceUnknown: nobody knows what one of the places asks, unless the run config allows that.
        """
        ...

    async def most_of_batch(self, model: str, provider_id: str, prompt: int, tokens: int, requests: int) -> int:
        """In nano-USD: of a batch that the provider runs itself, by what it asks for batches, of prompts with so many tokens together; else as `most_nanos`."""
        ...


def parse_price(value: object) -> Price:
    """As metadata of a model or a row of the run config has it: rates by name, and perhaps the currency, and `batch`.

    Raises ValueError, which names the rate.
    """
    fields = {**to_object(value)}
    if fields.pop("currency", CURRENCY) != CURRENCY:
        raise ValueError(f"price.currency {FOREIGN}")
    of_batch = fields.pop(BATCH, None)
    price = _parse_rates(fields, "price")
    if of_batch is None:
        return price
    if to_object(of_batch):
        return replace(price, batch=_parse_rates(to_object(of_batch), f"price.{BATCH}"))
    return replace(price, batch=price.share(_share_of(of_batch)))


def _parse_rates(fields: "JsonObject", place: str) -> Price:
    for name in fields:
        if name not in RATES:
            raise ValueError(f"{place}: unknown key `{name}`; known: currency, {', '.join(RATES)}, {BATCH}")
    if not fields:
        raise ValueError(f"{place} must be a mapping with one of {', '.join(RATES)}, in {CURRENCY}")
    input_, cached, write, write_1h, output, request = (
        to_picos(fields[name], name, place) if name in fields else None for name in RATES
    )
    return Price(input_, cached, write, write_1h, output, request)


def _share_of(value: object) -> int:
    """In millionths."""
    match = None if isinstance(value, bool) else AMOUNT.fullmatch(_text_of(value))
    whole, decimals = ("2", "") if match is None else match.groups(default="")
    share = int(whole + decimals.ljust(DECIMALS, "0"))
    if share > SHARES:
        raise ValueError(NO_SHARE)
    return share


def to_picos(rate: object, name: str, place: str = "price") -> int:
    """A rate in pico-USD for one token, or request; raises ValueError."""
    is_token = name != "per_request"
    match = None if isinstance(rate, bool) else AMOUNT.fullmatch(_text_of(rate))
    if match is None:
        raise ValueError(f"{place}.{name} {NO_AMOUNT.format(' per million tokens' if is_token else ' for a request')}")
    whole, decimals = match.groups(default="")
    return int(whole + decimals.ljust(DECIMALS, "0")) * (PICOS // TOKENS // 10**DECIMALS if is_token else TOKENS)


def _first(own: int | None, common: int | None) -> int | None:
    return common if own is None else own


def _text_of(rate: object) -> str:
    """Of a number its shortest decimals, and of a text itself: what the environment says is one."""
    if isinstance(rate, float):
        text = repr(rate)
        return f"{rate:.12f}".rstrip("0") if "e-" in text else text
    return str(rate) if isinstance(rate, int | str) else ""
