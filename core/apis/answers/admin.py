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


class QuotaLeft(TypedDict):
    """`resets_at` is in Unix seconds, `resets_in` in seconds; null is no limit."""

    object: Literal["quota"]
    identity: Literal["anonymous", "authenticated"] | None
    period: Literal["minute", "hour", "day", "month"] | None
    resets_at: int | None
    resets_in: int | None
    shadow: bool
    requests: Use | None
    tokens: Use | None
