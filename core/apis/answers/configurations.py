"""What the Configuration API answers, and the providers of a stack, as a client gets them."""

from typing import Any, Literal, NotRequired, TypedDict


class Provider(TypedDict):
    """A provider, with the fields of its config that a user may set; secrets are "********".

    `discovered` names those that nobody set and the machine decides; `registered`: it is none of the run config's.
    """

    provider_id: str
    provider_type: str
    config: dict[str, Any]
    discovered: NotRequired[list[str]]
    registered: NotRequired[bool]


class Inspected(TypedDict):
    """What is in force: `version` 0 is the run config's file alone; `refresh_seconds` is null where the API is off."""

    version: int
    refresh_seconds: float | None
    providers: dict[str, list[Provider]]


class Providers(TypedDict):
    """By API."""

    providers: dict[str, list[Provider]]


class Configuration(TypedDict):
    """One version, with all that it lays over the run config; `created` is in Unix seconds."""

    identifier: str
    version: int
    type: Literal["configuration"]
    active: bool
    config: Providers
    created: int
    owner: NotRequired[str]
    owner_name: NotRequired[str]
    note: str


class Registered(Configuration):
    """`dropped` are the paths of fields that a user may not set, `withheld` of keys that stay with the host they are for."""

    dropped: list[str]
    withheld: NotRequired[list[str]]
    dry_run: NotRequired[bool]


class ConfigurationPage(TypedDict):
    """Versions, newest first; the next page is `before` the `last_id`. `active` is null where none is in force."""

    object: Literal["list"]
    data: list[Configuration]
    has_more: bool
    first_id: str | None
    last_id: str | None
    active: str | None


class Circuit(TypedDict):
    """A model that failed lately; `retry_in` is in seconds, null for one that is asked as always.

    Where it is open to some callers alone, whose own calls failed, `callers` says to how many.
    """

    model: str
    state: Literal["closed", "open", "half_open"]
    failures: int
    retry_in: float | None
    callers: NotRequired[int]


class ListedProvider(Provider):
    """A provider of the stack; `config` is all of it, without secrets, and `health` has a `status`."""

    api: str
    health: dict[str, str]
    circuits: NotRequired[list[Circuit]]
    other_apis: NotRequired[list[str]]


class ProviderPage(TypedDict):
    """All of them."""

    data: list[ListedProvider]


class RegisteredProvider(Provider):
    """The `version` is the configuration's that has it."""

    api: str
    version: int
