"""API keys as a resource: who has one, what it is for, and when it ends."""

from typing import Annotated, Final, Literal, Protocol

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from core.apis.answers.keys import Key, KeyList, KeyWithSecret
from core.frame.callers import OWN
from core.frame.types import Query, Wire

MOST_NAME: Final = 100  # characters
MOST_NAMES: Final = 100  # roles, teams or patterns of models of one key
MOST_PATTERN: Final = 256  # characters
MOST_LIMITS: Final = 12  # three things that are limited, in each of four windows
DAY: Final = 24 * 3600
LONGEST_OVERLAP: Final = 30 * DAY
LAST_SECOND: Final = 253_402_300_799  # of the year 9999


def _printable(name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise ValueError("must be printable characters, and not only spaces")
    return name.strip()


def _one_word(name: str) -> str:
    if not name.isprintable() or " " in name:
        raise ValueError("must be printable characters without spaces")
    if name.startswith(OWN):
        raise ValueError(f"must not begin with `{OWN}`")
    return name


def _each_once(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


type Name = Annotated[str, StringConstraints(min_length=1, max_length=MOST_NAME), AfterValidator(_printable)]
type Word = Annotated[str, StringConstraints(min_length=1, max_length=MOST_NAME), AfterValidator(_one_word)]
type Pattern = Annotated[str, StringConstraints(min_length=1, max_length=MOST_PATTERN), AfterValidator(_one_word)]
Words = Annotated[list[Word], Field(max_length=MOST_NAMES), AfterValidator(_each_once)]
Patterns = Annotated[list[Pattern], Field(min_length=1, max_length=MOST_NAMES), AfterValidator(_each_once)]
type Expiry = Annotated[int, Field(ge=0, le=LAST_SECOND)]


class KeyLimit(Wire):
    """How much a key may use in a window (of UTC): calls, tokens, money, as a number or its decimals as text.

    At the share `soft` of any of them answers warn; a limit that is not `hard` does no more.
    """

    model_config = ConfigDict(extra="forbid")

    window: Literal["minute", "hour", "day", "month"]
    requests: int | None = None
    tokens: int | None = None
    money: float | str | None = None
    currency: str = "USD"
    soft: float = 0.8
    hard: bool = True


Limits = Annotated[list[KeyLimit], Field(max_length=MOST_LIMITS)]


class NewKey(Wire):
    """`models` are patterns, as `small` or `vllm/*`, None for all; `limits` bind beside the quota's; `expires` is in Unix seconds, None for never.

    `force` takes roles and teams that no rule and no quota of the run config names.
    """

    model_config = ConfigDict(extra="forbid")

    name: Name
    roles: Words = Field(default_factory=list[str])
    teams: Words = Field(default_factory=list[str])
    models: Patterns | None = None
    limits: Limits = Field(default_factory=list[KeyLimit])
    expires: Expiry | None = None
    force: bool = False


class ChangedKey(Wire):
    """What is left out stays as it is; null for `models` is all of them, and for `expires` never; `limits` are all that it has from then on.

    `force` also sets limits below what the key has used by now.
    """

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    roles: Words | None = None
    teams: Words | None = None
    models: Patterns | None = None
    limits: Limits | None = None
    expires: Expiry | None = None
    force: bool = False


class RotatedKey(Wire):
    """The secret of now passes for `overlap` seconds more. `force` ends the overlap of a rotation before."""

    model_config = ConfigDict(extra="forbid")

    overlap: Annotated[int, Field(ge=0, le=LONGEST_OVERLAP)] = DAY
    force: bool = False


class KeysQuery(Query):
    """A page of the keys that the caller may see, by id, after the one whose id is `after`; revoked ones where `revoked`."""

    after: str = ""
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    revoked: bool = False


class Keys(Protocol):
    """The keys that the access policy shows the caller, and its own. Another is NotFound, as one that is not there.

    Every method raises PermissionDenied where the policy lets the caller see the key and no more, and ProviderUnavailable when
    the registry cannot be used.
    """

    async def create(self, request: NewKey) -> KeyWithSecret:
        """Make a key.

        Raises:
            InvalidRequest: nothing names a role or a team, it has expired before it is made, or a limit is none that could hold.
            PermissionDenied: no rule lets the caller make keys, or give this role, this team, these models or so much use.
        """
        ...

    async def index(self, *, query: KeysQuery) -> KeyList: ...

    async def get(self, key_id: str) -> Key: ...

    async def update(self, request: ChangedKey, key_id: str) -> Key:
        """Change what a key is for.

        Raises:
            Conflict: it is revoked.
            LimitBelowUse: it has used more than a new limit by now, and there is no `force`.
            QuotaUnavailable: what it has used cannot be read.

        And as `create`.
        """
        ...

    async def rotate(self, request: RotatedKey, key_id: str) -> KeyWithSecret:
        """Give it another secret.

        Raises:
            Conflict: it is revoked, the overlap of a rotation before lasts, or another changed it at the same time.
        """
        ...

    async def revoke(self, key_id: str) -> Key:
        """End it for good; its name stays, for what it has used."""
        ...
