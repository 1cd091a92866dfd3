"""Resources, and the kinds that they are of: a kind yields a registry (list, get, register, unregister)."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from pydantic import Field

from core.frame.dotted import load
from core.frame.types import JsonObject, Query, Wire


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

    @property
    def provider_name(self) -> str:
        """Its id where nobody gave it another: `provider_id/provider_resource_id`."""
        return f"{self.provider_id}/{self.provider_resource_id}"

    def content(self) -> tuple[object, ...]:
        """All but owner and time: registering an identifier again with the same content is no conflict."""
        return (self.kind, self.identifier, self.provider_id, self.provider_resource_id, self.attributes)


class Offer(TypedDict):
    """What a provider says it has, by its own id; `created` in Unix seconds. A kind may add fields of its own."""

    id: str
    created: NotRequired[int]


class BuiltIn(TypedDict):
    """What a provider has under the identifier `id`, whatever the provider is called; a kind's own fields come beside these."""

    id: str
    provider_resource_id: str


class ListQuery(Query):
    """Which page of a kind's resources; both names of the last one before it are OpenAI's and Llama Stack's."""

    after_id: str = ""
    after: str = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 1000


class ShownResource(TypedDict):
    """A resource on the wire, beside its kind's own fields; `owner` is the id of whoever registered it."""

    identifier: str
    provider_resource_id: str
    provider_id: str
    type: str
    owner: NotRequired[str]


class ResourceList(TypedDict):
    """A page of a kind's resources; `first_id` and `last_id` are null where it is empty."""

    object: Literal["list"]
    data: list[JsonObject]
    has_more: bool
    first_id: str | None
    last_id: str | None


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

    `body` names the type of the register request and of the run config's entry; `id_field` is what both call the
    identifier, `provider_id_field` the name within the provider; `fields` are the kind's own attributes with their
    defaults. A kind without a `path` is declared by the run config alone, and has no routes.

    The rest is for kinds that need it. `listing` names the provider's method that lists what it has, without
    parameters: that is served unregistered, and nothing else can be registered; `check` the one that refuses a resource
    that it cannot serve, and `checked` the function from the resource to what that method takes, where it is something else. `present` names the function from a resource to its shape on the wire, `response` that
    shape's type; `aliases` are more
    paths of list and get, `further_paths` of all four. `alternates` names the function from a resource to what it would be at each of the other
    places that serve it: whoever uses it must be allowed each of these, and their attributes `alike` must be the same.
    `beside` names the function from a resource, and one that is registered for the same name within a provider, to why it
    cannot be, or None. `built_in` names the provider's method that gives at once, without parameters, what it has under
    identifiers of its own: a sequence of BuiltIn. They mean what a declaration of the run config would, and one there goes first.
    `granted` are keys of the metadata that a caller registers by a rule alone that lets it create `KEY::identifier`.
    """

    name: str  # "model", as `type` on the wire and in the store's keys
    api: str  # the routed API whose providers serve it
    path: str  # "/v1/models"
    section: str  # its list in the run config
    id_field: str
    provider_id_field: str
    body: str
    fields: dict[str, Any]
    listing: str | None = None
    check: str | None = None
    checked: str | None = None
    present: str | None = None
    response: str | None = None
    aliases: tuple[str, ...] = ()
    alternates: str | None = None
    alike: tuple[str, ...] = ()
    beside: str | None = None
    further_paths: tuple[str, ...] = ()
    built_in: str | None = None
    granted: tuple[str, ...] = ()

    def body_type(self) -> type[Wire]:
        """The type of the register request, imported now."""
        body: type[Wire] = load(self.body)
        return body

    def show(self, resource: Resource) -> JsonObject:
        """A resource of this kind on the wire."""
        wire: JsonObject = present(resource) if self.present is None else load(self.present)(resource)
        return wire

    def list_alternates(self, resource: Resource) -> list[Resource]:
        """`resource` as it would be registered at each of the other places that serve it."""
        return [] if self.alternates is None else list(load(self.alternates)(resource))

    def fault_beside(self, resource: Resource, other: Resource) -> str | None:
        """Why `resource` cannot be registered beside `other`, which stands for the same name within a provider."""
        fault: str | None = None if self.beside is None else load(self.beside)(resource, other)
        return fault
