"""The shape of a kind of resource; each row yields a registry (list, get, register, unregister)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.frame.types import JsonObject, Wire


@dataclass(frozen=True, slots=True)
class Resource:
    """One registered resource. `created` is in Unix seconds; `attributes` has the kind's own fields.

    `owner` is whoever registered it, as `{"principal": id, "attributes": {category: [names]}}`.
    """

    kind: str
    identifier: str
    provider_id: str
    provider_resource_id: str
    attributes: dict[str, Any]
    created: int = 0
    owner: dict[str, Any] | None = None

    def content(self) -> tuple[object, ...]:
        """What makes two registrations of one identifier the same."""
        return (self.kind, self.identifier, self.provider_id, self.provider_resource_id, self.attributes)


def present(resource: Resource) -> JsonObject:
    """The common shape of every kind on the wire; of an owner, the id alone."""
    return {
        "identifier": resource.identifier,
        "provider_resource_id": resource.provider_resource_id,
        "provider_id": resource.provider_id,
        "type": resource.kind,
        **({} if resource.owner is None else {"owner": resource.owner["principal"]}),
        **resource.attributes,
    }


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of resource that is registered with providers of one API.

    `body` is the register request and the run config's entry; `id_field` is what both call the
    identifier, `provider_id_field` the name within the provider; `fields` are the kind's own
    attributes with their defaults.
    """

    name: str  # "model", as `type` on the wire and in the store's keys
    api: str  # the routed API whose providers serve it
    path: str  # "/v1/models"
    section: str  # its list in the run config
    id_field: str
    provider_id_field: str
    body: type[Wire]
    fields: dict[str, Any]
    present: Callable[[Resource], JsonObject] = present
