"""Limits as rows: those of `server.quota.limits`, and of a key. They are apart from the run config's records, and validated where they are used."""

from collections.abc import Iterable, Mapping, Sequence
import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from core.apis.prices import CURRENCY, FOREIGN
from core.config.policy import matches_pattern
from core.config.records import Record, Whole
from core.config.security import Count, Period
from core.frame.callers import Allowance
from core.frame.observed import NANOS, usd_text

type Per = Literal["caller", "team", "role", "model"]

DECIMALS: Final = 9  # of USD: a nano-USD
AMOUNT: Final = re.compile(rf"([0-9]{{1,9}})(?:\.([0-9]{{1,{DECIMALS}}}))?")
NO_AMOUNT: Final = f"must be {CURRENCY}: a number below 1000000000, 0 or more, with at most {DECIMALS} decimals"
UNITS: Final = ("requests", "tokens", "money")


def to_nanos(amount: object) -> int:
    """Money in nano-USD, of a number's shortest decimals or of a text with them; raises ValueError."""
    if isinstance(amount, float):
        text = repr(amount)
        amount = f"{amount:.18f}".rstrip("0").rstrip(".") if "e-" in text else text
    match = None if isinstance(amount, bool) else AMOUNT.fullmatch(str(amount))
    if match is None:
        raise ValueError(NO_AMOUNT)
    whole, decimals = match.groups(default="")
    return int(whole) * NANOS + int(decimals.ljust(DECIMALS, "0"))


def _known_currency(value: object) -> object:
    if value != CURRENCY:
        raise ValueError(FOREIGN)
    return value


def _share(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number above 0, and at most 1")  # noqa: TRY004 - pydantic takes no TypeError
    return value


class LimitRow(Record):
    """How much of what in a window (UTC), as the run config, a key and the command line have it. `money` is in nano-USD once it is read.

    At the share `soft` of any of them answers warn; a limit that is not `hard` does no more.
    """

    window: Period
    requests: Count | None = None
    tokens: Count | None = None
    money: Annotated[int | None, BeforeValidator(lambda value: None if value is None else to_nanos(value))] = None
    currency: Annotated[Literal["USD"], BeforeValidator(_known_currency)] = "USD"
    soft: Annotated[float, BeforeValidator(_share), Field(gt=0, le=1)] = 0.8
    hard: bool = True

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if not self.units:
            raise ValueError("limits nothing: give at least one of requests, tokens and money")
        return self

    @property
    def units(self) -> tuple[str, ...]:
        """Those that it limits."""
        return tuple(name for name in UNITS if getattr(self, name) is not None)

    @property
    def allowance(self) -> Allowance:
        """What admission knows of it."""
        return Allowance(self.window, self.requests, self.tokens, self.money, self.soft, self.hard)


class QuotaRow(LimitRow):
    """Of each caller, or of all callers together of a team, with a role, or of a model, whose `name` may be a pattern: then of each such one.

    `shards` spreads what many callers count in over as many accounts, each with a share of the limit.
    """

    per: Per
    name: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    shards: Annotated[Whole, Field(ge=1, le=64)] = 1

    @model_validator(mode="after")
    def _names_whom(self) -> Self:
        if self.per == "caller" and (self.name is not None or self.shards != 1):
            raise ValueError("per: caller has no name and no shards: it is of every caller (see quota.shards)")
        if self.per != "caller" and self.name is None:
            raise ValueError(f'needs the name of a {self.per}, or "*" for each')
        return self

    @property
    def whose(self) -> str:
        """As `team red`, or `caller`."""
        return self.per if self.name is None else f"{self.per} {self.name}"

    def is_of(self, name: str) -> bool:
        """Whether it limits the team, role or model of this name."""
        return matches_pattern(self.name or "", name)


class QuotaRows(Record):
    """The part of `server.quota` that is validated late."""

    limits: tuple[QuotaRow, ...] = Field(default=(), max_length=1000)


def find_twins(rows: Iterable[tuple[str, LimitRow]]) -> list[tuple[int, int, str]]:
    """`(place, earlier place, unit)` of each row that limits what an earlier one limits, in the same window, of the same: `whose`, row."""
    first: dict[tuple[str, str, str], int] = {}
    twins: list[tuple[int, int, str]] = []
    for place, (whose, row) in enumerate(rows):
        for unit in row.units:
            earlier = first.setdefault((whose, row.window, unit), place)
            if earlier != place:
                twins.append((place, earlier, unit))
    return twins


def read_allowances(rows: Sequence[Mapping[str, Any]]) -> tuple[Allowance, ...]:
    """The limits of a key, as its maker or the store has them.

    Raises ValueError (pydantic's ValidationError is one) for a row that is wrong, or two that limit the same in one window.
    """
    checked = [LimitRow.model_validate(row) for row in rows]
    for place, earlier, unit in find_twins(("", row) for row in checked):
        raise ValueError(
            f"limits[{place}] limits {unit} per {checked[place].window}, as limits[{earlier}] does: keep one of them"
        )
    return tuple(row.allowance for row in checked)


def show_allowance(allowance: Allowance) -> dict[str, Any]:
    """As a row that `read_allowances` takes; money is exact decimal text."""
    money = None if allowance.nanos is None else usd_text(allowance.nanos)
    values = {"requests": allowance.requests, "tokens": allowance.tokens, "money": money}
    shown = {name: value for name, value in values.items() if value is not None}
    currency = {} if money is None else {"currency": CURRENCY}
    return {"window": allowance.window, **shown, **currency, "soft": allowance.soft, "hard": allowance.hard}
