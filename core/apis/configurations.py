"""The Configuration API: versions of provider settings that are laid over the run config while the stack runs."""

from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import Field

from core.frame.types import JsonObject, Query, Wire

type Name = Annotated[str, Field(min_length=1, max_length=256)]


@dataclass(frozen=True, slots=True)
class Configuration:
    """One registered version, whole. `created` is in Unix seconds; the versions 1, 2, 3, ... are in total order.

    `overlay` is `{api: {provider_id: {"provider_type": str, "config": {...}, "registered": bool}}}`: what lies over the
    run config's providers. `owner` is whoever registered it, as `{"principal": id, "attributes": {category: [names]}}`,
    with the `label` of an API key.
    """

    version: int
    overlay: JsonObject
    created: int = 0
    owner: JsonObject | None = None
    note: str = ""


class RegisterConfiguration(Wire):
    """`config`, or the version to `revert_to`. A `dry_run` stores nothing; `force` asks no provider."""

    config: Any = None
    revert_to: str | int | None = None
    dry_run: bool = False
    force: bool = False


class RegisterProvider(Wire):
    """A provider of a type that this build has, its `config` as in a run config but without `${env...}`."""

    api: Name
    provider_id: Name
    provider_type: Name
    config: dict[str, Any] = Field(default_factory=dict[str, Any])
    force: bool = False


class ListConfigurationsQuery(Query):
    """At most `limit` versions, older than the version `before`."""

    before: Annotated[int, Field(ge=1, le=10**15)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 100


class Configurations(Protocol):
    """Configurations are registered over the run config's providers, each a version over the one before.

    Every method raises PermissionDenied where the access policy says no, and ProviderUnavailable when the store cannot
    be reached; those that need the API to be on raise NotFound where it is not.
    """

    async def inspect(self) -> JsonObject:
        """`{version, refresh_seconds, providers: {api: [{provider_id, provider_type, config, discovered}]}}`.

        `version` is the one in force, 0 for the run config alone; `config` has the fields that users may set, secrets
        masked, and `discovered` those of them that nobody set and the machine decides.
        """
        ...

    async def register(self, request: RegisterConfiguration) -> JsonObject:
        """Validate it, store it, put it in force: the version, with what was `dropped` and `withheld`.

        Raises:
            InvalidRequest: everything that is wrong with it, by path.
            Conflict: the request says which version it is based on, and another is in force by now.
            BodyTooLarge: the overlay would be too large to store.
        """
        ...

    async def index(self, *, query: ListConfigurationsQuery) -> JsonObject:
        """An OpenAI list of versions, newest first, with the `active` one's identifier, null where there is none."""
        ...

    async def get(self, configuration_id: str) -> JsonObject:
        """One version; raises NotFound."""
        ...

    async def unregister(self, configuration_id: str) -> None:
        """Remove it; after the active one the run config holds alone. Raises NotFound."""
        ...

    async def register_provider(self, request: RegisterProvider) -> JsonObject:
        """Put one more provider in force, as a version of its own."""
        ...

    async def unregister_provider(self, provider_id: str) -> None:
        """Remove a registered provider; raises InvalidRequest while models or shields are registered with it."""
        ...
