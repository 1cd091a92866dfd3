"""What the admin API answers beside providers and configurations."""

from typing import Literal, TypedDict

Nothing = None
"""The answer of what removes something: null."""


class ServiceHealth(TypedDict):
    status: Literal["OK"]


class ReadyPart(TypedDict):
    status: Literal["OK"]


class ServiceReadiness(TypedDict):
    """`parts` are the stores that the stack has, and its configuration where that may change."""

    status: Literal["OK"]
    parts: dict[str, ReadyPart]


class Version(TypedDict):
    version: str


class ServedRoute(TypedDict):
    """`route` is in Starlette's form, with `{name:path}` where slashes may follow."""

    route: str
    method: str
    provider_types: list[str]


class RouteList(TypedDict):
    data: list[ServedRoute]


class OpenApiDocument(TypedDict):
    """An OpenAPI 3.1 document, with more than is named here."""

    openapi: str
    info: dict[str, str]
    paths: dict[str, dict[str, object]]


class Use(TypedDict):
    limit: int
    used: int
    remaining: int


class LimitLeft(TypedDict):
    """One unit of a limit, of the caller alone, or of all in a team or with a role; money is in USD. At the share `soft` answers warn, and `hard` refuses more."""

    per: Literal["caller", "team", "role"]
    name: str | None
    window: Literal["minute", "hour", "day", "month"]
    unit: Literal["requests", "tokens", "money"]
    limit: float
    used: float
    remaining: float
    currency: Literal["USD"] | None
    soft: float
    hard: bool
    resets_at: int
    resets_in: int


class QuotaLeft(TypedDict):
    """`resets_at` is in Unix seconds, `resets_in` in seconds; null is no limit. `limits` are those of `server.quota.limits` and of the key."""

    object: Literal["quota"]
    identity: Literal["anonymous", "authenticated"] | None
    period: Literal["minute", "hour", "day", "month"] | None
    resets_at: int | None
    resets_in: int | None
    shadow: bool
    requests: Use | None
    tokens: Use | None
    limits: list[LimitLeft]
