"""Values as DynamoDB has them: text, numbers, bytes, lists and maps of those; a number that is whole comes back as int.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html.
"""

from collections.abc import Mapping
from typing import Any, cast


def to_attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Every value as an attribute, but for None, which is left out."""
    return {name: _to_attribute(value) for name, value in values.items() if value is not None}


def from_attributes(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _from_attribute(attribute) for name, attribute in item.items()}


def _to_attribute(value: object) -> dict[str, Any]:
    match value:
        case str():
            return {"S": value}
        case int() | float():
            return {"N": repr(value)}
        case bytes():
            return {"B": value}
        case Mapping():
            return {"M": to_attributes(cast("Mapping[str, Any]", value))}
        case list() | tuple():
            return {"L": [_to_attribute(part) for part in cast("list[object]", value)]}
        case _:
            raise TypeError(type(value).__name__)


def _from_attribute(attribute: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever it is
    ((kind, value),) = attribute.items()
    match kind:
        case "N":
            return int(value) if value.lstrip("-").isdigit() else float(value)
        case "M":
            return from_attributes(value)
        case "L":
            return [_from_attribute(part) for part in value]
        case _:
            return value
