"""What Bedrock's service model says of a body of Converse: botocore looks at types, this at patterns, lengths and words too."""

from collections.abc import Iterator
import re
from typing import Any

from botocore.model import ServiceModel
from botocore.session import Session
from botocore.validate import ParamValidator

from core.frame.types import JsonObject


def service() -> ServiceModel:
    return Session().get_service_model("bedrock-runtime")


def faults(model: ServiceModel, body: JsonObject, operation: str = "Converse") -> list[str]:
    """Each with its path; none for a body that Bedrock takes as far as its model tells."""
    shape: Any = model.operation_model(operation).input_shape
    report: Any = ParamValidator().validate({"modelId": "m", **body}, shape)
    return [*report.generate_report().splitlines(), *_faults(shape, body, "")]


def _faults(shape: Any, value: Any, path: str) -> Iterator[str]:
    if getattr(shape, "is_document_type", False):
        return
    for inner, item, name in _members(shape, value):
        yield from _faults(inner, item, f"{path}{name}")
    if getattr(shape, "is_tagged_union", False) and len(value) != 1:
        yield f"{path}: has {len(value)} members of a union"
    limits = shape.metadata
    if "enum" in limits and value not in limits["enum"]:
        yield f"{path}: {value!r} is none of {limits['enum']}"
    if "pattern" in limits and not re.fullmatch(limits["pattern"], value):
        yield f"{path}: {value!r} is not {limits['pattern']}"
    size = len(value) if isinstance(value, str | bytes | list | dict) else value
    if not limits.get("min", size) <= size <= limits.get("max", size):
        yield f"{path}: {size} is out of bounds"


def _members(shape: Any, value: Any) -> Iterator[tuple[Any, Any, str]]:
    """Each with its shape and its name."""
    match shape.type_name:
        case "structure":
            yield from ((shape.members[name], member, f".{name}") for name, member in value.items())
        case "list":
            yield from ((shape.member, item, f"[{position}]") for position, item in enumerate(value))
        case "map":
            for key, item in value.items():
                yield from ((shape.key, key, ".key"), (shape.value, item, f".{key}"))
        case _:
            pass
