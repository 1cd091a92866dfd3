"""The model resource: what is registered, and how it looks to every generation of clients."""

from typing import Annotated, Any, Final, Self, cast

from pydantic import ConfigDict, Field, model_validator

from core.apis.inference import ModelType, Name
from core.apis.targets import targets_fault
from core.frame.resources import Resource, present
from core.frame.types import JsonObject, Wire

SHIELDS: Final = ("input_shields", "output_shields")
"""The lists of a model's metadata that name what judges requests and replies."""
BATCH: Final = ("queue", "native", "auto")
"""Who runs a model's rows of batches: the stack's queue, its provider, or whichever takes a row."""
RESPONSES: Final = ("engine", "native")
"""Who answers /v1/responses for a model: the stack's engine over its chat completions, or its provider."""


class RegisterModel(Wire):
    """`provider_model_id` defaults to `model_id`; `provider_id` to the only inference provider."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model_id: Name
    provider_model_id: Name | None = None
    provider_id: Annotated[str, Field(min_length=1)] | None = None
    metadata: dict[str, Any] | None = None
    model_type: ModelType | None = None

    @model_validator(mode="after")
    def _dimension(self) -> Self:
        if self.model_type == "embedding":
            dimension = (self.metadata or {}).get("embedding_dimension")
            if isinstance(dimension, bool) or not isinstance(dimension, int) or dimension < 1:
                raise ValueError("an embedding model must have an embedding_dimension, a whole number, in its metadata")
        return self

    @model_validator(mode="after")
    def _shields(self) -> Self:
        for field in SHIELDS:
            value: object = (self.metadata or {}).get(field, [])
            names = cast("list[object]", value) if isinstance(value, list) else [None]
            if not all(isinstance(name, str) and name for name in names):
                raise ValueError(f"{field} in the metadata must be a list of shield ids")
        return self

    @model_validator(mode="after")
    def _responses(self) -> Self:
        if (self.metadata or {}).get("responses", "engine") not in RESPONSES:
            raise ValueError(f"responses in the metadata must be one of {', '.join(RESPONSES)}")
        return self

    @model_validator(mode="after")
    def _batch(self) -> Self:
        if (self.metadata or {}).get("batch", "queue") not in BATCH:
            raise ValueError(f"batch in the metadata must be one of {', '.join(BATCH)}")
        return self

    @model_validator(mode="after")
    def _price(self) -> Self:
        if self.metadata is not None and "price" in self.metadata:
            from core.apis.prices import parse_price  # late: few registrations have one

            parse_price(self.metadata["price"])
        return self

    @model_validator(mode="after")
    def _targets(self) -> Self:
        targets: object = (self.metadata or {}).get("targets", [])
        fault = targets_fault(targets)
        if fault is not None:
            raise ValueError(fault)
        if targets and self.model_id == f"{self.provider_id}/{self.provider_model_id}":
            raise ValueError("a model with targets needs an id of its own: this one means its provider alone")
        return self


def missing_guards(resource: Resource, other: Resource) -> str | None:
    """What guards a model guards every name of it: another name is no way around the shields of the first."""
    own, others = resource.attributes["metadata"], other.attributes["metadata"]
    for field in SHIELDS:
        missing = [f"`{name}`" for name in others.get(field) or () if name not in (own.get(field) or ())]
        if missing:
            guarded = f"`{other.provider_name}` is guarded by {', '.join(missing)}"
            return f"{guarded}; name the same in {field} of the metadata."
    return None


def present_model(resource: Resource) -> JsonObject:
    """Both field sets at once: Llama Stack 0.2's, and OpenAI's with the stack's facts in `custom_metadata`."""
    facts = {
        "model_type": resource.attributes["model_type"],
        "provider_id": resource.provider_id,
        "provider_resource_id": resource.provider_resource_id,
    }
    return present(resource) | {
        "id": resource.identifier,
        "object": "model",
        "created": resource.created,
        "owned_by": resource.provider_id,
        "custom_metadata": resource.attributes["metadata"] | facts,
    }
