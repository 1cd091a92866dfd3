"""The verified caller and the call under way, as every layer below HTTP is given them."""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, replace
import logging
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import quote

from core.frame.observed import Observed, Stopwatch, nanos_of

CATEGORIES: Final = ("roles", "teams", "projects", "namespaces")
"""The attributes that owners share resources by; a principal may have others, as `scopes`."""

OWN: Final = "own:"
"""How the name among a caller's attributes begins that is its alone: nobody is given such a one."""

PROVIDER_DATA_HEADERS: Final = ("X-LlamaStack-Provider-Data", "X-OGX-Provider-Data")
"""Either holds a JSON object of what a caller brings for providers, as `{"openai_api_key": "..."}`."""

type RowKey = tuple[str, str, str, str]
"""Model, provider, API and operation."""

log = logging.getLogger(__name__)


class Allowance(NamedTuple):  # a dataclass takes five times as long to be made, at each cold start
    """What may be used in a window: calls, tokens, nano-USD, None for no bound. From the share `soft` on it warns, and `hard` refuses more."""

    window: Literal["minute", "hour", "day", "month"]
    requests: int | None = None
    tokens: int | None = None
    nanos: int | None = None
    soft: float = 0.8
    hard: bool = True


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key is for, whatever more the access policy lets its bearer do. `models` are patterns (`small`, `vllm/*`), None for all; `limits` bind beside the quota's."""

    models: tuple[str, ...] | None
    limits: tuple[Allowance, ...] = ()


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose identity was verified.

    `id` is unique among those that `vouched_by`, an auth provider with its issuer, vouches for; `attributes` are lists
    of names, as `{"roles": ("admin",)}`. `label` is for people to read, as an API key's name; it decides nothing.
    `grant` is None where nothing holds a caller to less than the access policy lets it do.
    """

    id: str
    attributes: Mapping[str, tuple[str, ...]]
    vouched_by: str = ""
    label: str = field(default="", compare=False)
    grant: Grant | None = field(default=None, compare=False, repr=False)

    @property
    def anonymous(self) -> bool:
        """True where no auth is configured: then every caller is this one."""
        return not self.id

    @property
    def issuer(self) -> str:
        """Of `vouched_by` what follows the auth provider's type, "" where there is no more."""
        return self.vouched_by.partition(" ")[2]

    @property
    def identity(self) -> str:
        """Its name among the callers of all issuers, in ASCII without blanks; "" for the anonymous one."""
        return "" if self.anonymous else f"{_quote(self.vouched_by)}:{_quote(self.id)}"


def _quote(part: str) -> str:
    return quote(part, safe="", errors="surrogatepass")  # a lone surrogate, which a JSON claim can spell


ANONYMOUS: Final = Principal("", {})


class CallEnded(RuntimeError):
    """Raised where work goes on for a call that was answered and charged: nobody would pay for it."""

    def __init__(self) -> None:
        super().__init__(
            "the call that this work belongs to has ended, so that nobody could be charged for it; wait for the work while "
            "the call is answered, or start it with asyncio.create_task(..., context=contextvars.Context()): then it is "
            "the stack's own"
        )


@dataclass(frozen=True, slots=True)
class KeepLimits:
    """How many files, bytes in them, vector stores, prompts, responses, conversations, agents, datasets and bytes of their rows a caller may keep, and batches it may have under way; None is no limit."""

    files: int | None = None
    bytes: int | None = None
    vector_stores: int | None = None
    prompts: int | None = None
    responses: int | None = None
    conversations: int | None = None
    agents: int | None = None
    batches: int | None = None
    datasets: int | None = None
    dataset_bytes: int | None = None


@dataclass(slots=True)  # a frozen one takes several times as long to be made, and each chat makes three
class UsageRow:
    """What the answers of one model at one provider used, for one operation of an API.

    `requests` are as the quota counts them, `answers` those of the model. All tokens are in `prompt_tokens` and
    `completion_tokens`: the cached and those written to a cache are part of the first, reasoning of the second, and
    `estimated_tokens` of both are what no provider said. `nanos` are nano-USD, of all answers but the `unpriced` ones.
    """

    model: str = ""
    provider: str = ""
    api: str = ""
    operation: str = ""
    requests: int = 0
    answers: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    estimated_tokens: int = 0
    nanos: int = 0
    unpriced: int = 0

    @property
    def key(self) -> RowKey:
        """What no two rows of a ledger have in common."""
        return self.model, self.provider, self.api, self.operation

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def add_cost(self, nanos: int, unpriced: int = 0) -> "UsageRow":
        """With these more; in a third of the time that `dataclasses.replace` takes, for each call."""
        return UsageRow(
            *self.key,
            self.requests,
            self.answers,
            self.prompt_tokens,
            self.cached_tokens,
            self.cache_write_tokens,
            self.completion_tokens,
            self.reasoning_tokens,
            self.estimated_tokens,
            self.nanos + nanos,
            self.unpriced + unpriced,
        )

    def __add__(self, other: "UsageRow") -> "UsageRow":
        return UsageRow(
            *self.key,
            self.requests + other.requests,
            self.answers + other.answers,
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.completion_tokens + other.completion_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.estimated_tokens + other.estimated_tokens,
            self.nanos + other.nanos,
            self.unpriced + other.unpriced,
        )


@dataclass(frozen=True, slots=True)
class Charge:
    """What a call used. `tokens` are those of its own models, None where that is not known; `further` those of others.

    What is not known is charged by the reservation, which was made for the call's own models alone, or by `least`, what
    is known of them, where that is more. `rows` are what is counted as usage: what was reported, else what came; `target` is
    the key of that of the model which was asked for, None where that did not answer.
    """

    tokens: int | None
    further: int = 0
    least: int = 0
    rows: tuple[UsageRow, ...] = ()
    target: RowKey | None = None


@dataclass(slots=True, eq=False)
class TokenLedger:
    """What was used, as providers report it or as it came, for a call and all that it caused.

    `own` is by what was asked for, and None while nothing is known; `further` by the rest. `silent` is an answer that did
    not say what it used, or was left before it could; `unsaid` is what such answers used at least, whoever asked.
    `rows` are all of it, by model, provider, API and operation, and `picos` what each cost, in pico-USD; `target` is the first
    of what was asked for. `most` is what the client's quota had for the call as it began, None for no limit, `most_nanos` what it
    had of money, in nano-USD, and `resets_in` are the seconds until it has more.
    """

    own: int | None = None
    further: int = 0
    unsaid: int = 0
    silent: bool = False
    closed: bool = False
    most: int | None = None
    most_nanos: int | None = None
    resets_in: int = 0
    target: RowKey | None = None
    rows: dict[RowKey, UsageRow] = field(default_factory=dict[RowKey, UsageRow])
    picos: dict[RowKey, int] = field(default_factory=dict[RowKey, int])

    def list_rows(self) -> list[UsageRow]:
        """Every row, its cost rounded up."""
        picos = self.picos
        return [row.add_cost(nanos_of(picos[key])) if key in picos else row for key, row in self.rows.items()]


@dataclass(slots=True)
class Call:
    """One API call under way.

    `source` is the address that the gateway or the socket vouches for, never a header's word. `provider_data` holds secrets
    of the caller. A call that another one caused (see `cause`) has the same `ledger`; an `internal` one is not held to the
    access policy. `judging` are the shields in whose judgement it was caused, by their providers' names; `for_verdict` is one
    that a guard model is asked, or the operator's shield asks: what guards every model would judge its own question.
    `until` is when its answer must leave, in the loop's time; `answer_headers` are headers of that, beside the frame's own.
    `token` is the caller's own, which was verified; empty unless the run config has a provider that exchanges it for another.
    """

    principal: Principal
    source: str = ""
    provider_data: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    observed: Observed = field(default_factory=Observed, repr=False, compare=False)
    ledger: TokenLedger = field(default_factory=TokenLedger, repr=False, compare=False)
    caused: bool = False
    internal: bool = False
    judging: tuple[str, ...] = ()
    for_verdict: bool = False
    until: float | None = None
    answer_headers: dict[str, str] = field(default_factory=dict[str, str], repr=False, compare=False)
    token: str = field(default="", repr=False, compare=False)

    @property
    def tokens(self) -> int | None:
        """What is known so far, prompt and completion tokens together; None while nothing is."""
        ledger = self.ledger
        return None if ledger.own is None and not ledger.further else (ledger.own or 0) + ledger.further

    def add_tokens(self, tokens: int | None) -> None:
        """Add what an answer used, prompt and completion tokens together; None for one that does not say."""
        ledger = self.ledger
        if ledger.closed and tokens != 0:
            log.warning("%s tokens were used for a call that had ended; nobody is charged", tokens or "unknown")
        if tokens is None:
            ledger.silent = True
        elif self.caused:
            ledger.further += tokens
        else:
            ledger.own = (ledger.own or 0) + tokens

    def add_unsaid(self, tokens: int) -> None:
        """Add what an answer used at least that does not say what it used."""
        self.add_tokens(None)
        self.ledger.unsaid += tokens

    def note_use(self, use: UsageRow, picos: int | None = None) -> None:
        """Note an answer that this call asked for, with its API and operation, and what it cost in pico-USD; None is not known."""
        ledger, key = self.ledger, use.key
        row = ledger.rows.get(key)
        ledger.rows[key] = use if row is None else row + use
        if ledger.target is None and not self.caused:
            ledger.target = key
        if picos is not None:
            ledger.picos[key] = ledger.picos.get(key, 0) + picos
        self.observed.add_cost(picos)

    @property
    def is_spent(self) -> bool:
        """Whether the client's tokens or its money are used up by now: for who asks a model again and again in one call."""
        ledger = self.ledger
        if ledger.most_nanos is not None and nanos_of(sum(ledger.picos.values())) >= ledger.most_nanos:
            return True
        return ledger.most is not None and (self.tokens or 0) + ledger.unsaid >= ledger.most

    def cause(self, *, internal: bool = False) -> "Call":
        """A further call on this one's behalf: charged to it, and waited for in it, but it keeps its name in the request log.

        An `internal` one acts as the stack itself: it sees all there is, and takes nothing that the caller brings.
        """
        data: Mapping[str, Any] = {} if internal else self.provider_data
        token = "" if internal else self.token
        line = replace(self.observed)
        return replace(self, provider_data=data, observed=line, caused=True, internal=internal, token=token)

    def end(self, *, failed: bool = False) -> Charge:
        """What to charge, of a call that nothing may be done for from now on.

        A failure is charged what is known. Of an answer that nobody waited for, or for which there was no time, or that says
        nothing of its usage, the reservation stays at least: leaving early must not be a way to get tokens for nothing.
        """
        self.ledger.closed = True
        return self._charge(failed=failed)

    def end_part(self, *, failed: bool = False) -> Charge:
        """As `end`, of a call that goes on: what is used from now on is of its next part."""
        charge, ledger = self._charge(failed=failed), self.ledger
        ledger.own, ledger.further, ledger.unsaid, ledger.silent = None, 0, 0, False
        ledger.rows, ledger.picos, ledger.target = {}, {}, None
        return charge

    def _charge(self, *, failed: bool) -> Charge:
        ledger = self.ledger
        own, rows = ledger.own or 0, tuple(ledger.list_rows())
        if ledger.silent or (ledger.own is None and not failed):
            return Charge(None, ledger.further, own + ledger.unsaid, rows, ledger.target)
        return Charge(own, ledger.further, rows=rows, target=ledger.target)


def principal_of(call: Call | None) -> Principal | None:
    """Whom the access policy is asked about; None is the stack itself, which may do everything."""
    return None if call is None or call.internal else call.principal


CURRENT_CALL: Final[ContextVar[Call | None]] = ContextVar("llambda_current_call", default=None)
"""The call under way, None outside of any, where the stack itself acts: for what crosses a provider, whose methods take none (see `ActingFor`)."""


class ActingFor:
    """`with` it, the code of a provider runs for `call`; None is the stack itself."""

    __slots__ = ("_call", "_token")

    def __init__(self, call: Call | None) -> None:
        self._call = call

    def __enter__(self) -> None:
        self._token: Token[Call | None] = CURRENT_CALL.set(self._call)

    def __exit__(self, *_: object) -> None:
        CURRENT_CALL.reset(self._token)


def upstream_wait() -> Stopwatch:
    """Runs while the call under way waits for an upstream; outside of any, nobody reads it."""
    call = CURRENT_CALL.get()
    return Stopwatch() if call is None else call.observed.upstream
