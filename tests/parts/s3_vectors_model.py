"""S3 Vectors' own description of its requests, and what it refuses by it.

The SDK that is locked knows no searches by words yet: these members are added here, as its newer releases and
https://docs.aws.amazon.com/AmazonS3/latest/API/API_S3VectorBuckets_QueryVectors.html have them.
"""

from functools import cache
import re
from typing import Any

from botocore.loaders import create_loader

LANGUAGES = ["en", "fr", "es", "pt", "it", "de", "nl", "zh", "ja", "ko"]
ADDED: dict[str, Any] = {
    "QueryTexts": {"type": "list", "member": {"shape": "QueryText"}, "min": 1, "max": 10},
    "QueryText": {
        "type": "structure",
        "required": ["text", "metadataKey"],
        "members": {"text": {"shape": "QueryTextText"}, "metadataKey": {"shape": "MetadataKey"}},
    },
    "QueryTextText": {"type": "string", "min": 1, "max": 1024},
    "TextSearchConfigurations": {"type": "list", "member": {"shape": "TextSearchConfiguration"}, "min": 0, "max": 10},
    "TextSearchConfiguration": {
        "type": "structure",
        "required": ["metadataKey"],
        "members": {"metadataKey": {"shape": "MetadataKey"}, "language": {"shape": "Language"}},
    },
    "Language": {"type": "string", "enum": LANGUAGES},
}


class Refusal(Exception):
    """An error of the service: its status, its type, and what it says."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind, self.message = status, kind, message


def invalid(message: str) -> Refusal:
    return Refusal(400, "ValidationException", message)


@cache
def service_model() -> dict[str, Any]:
    model: dict[str, Any] = create_loader().load_service_model("s3vectors", "service-2")
    shapes = model["shapes"]
    shapes.update(ADDED)
    query = shapes["QueryVectorsInput"]
    query["required"] = ["topK"]
    query["members"] |= {"queryTexts": {"shape": "QueryTexts"}, "returnScores": {"shape": "Boolean"}}
    configuration = shapes["MetadataConfiguration"]
    configuration["required"] = []
    configuration["members"]["textSearchConfigurations"] = {"shape": "TextSearchConfigurations"}
    shapes["NonFilterableMetadataKeys"]["min"] = 0
    return model


def check_request(operation: str, body: Any) -> None:
    """Raises Refusal for an operation that there is not, and for a body that is not of its shape."""
    model = service_model()
    if operation not in model["operations"]:
        raise Refusal(404, "UnknownOperationException", f"no operation {operation}")
    check_shape(body, model["operations"][operation]["input"]["shape"], operation, model["shapes"])


def check_shape(value: Any, name: str, path: str, shapes: dict[str, Any]) -> None:
    """Raises Refusal where it is not of the shape, as the SDK's description of a service has it."""
    shape = shapes[name]
    kinds: dict[str, Any] = {
        "structure": dict,
        "map": dict,
        "list": list,
        "string": str,
        "boolean": bool,
        "integer": int,
        "long": int,
        "double": (int, float),
        "float": (int, float),
    }
    if not isinstance(value, kinds[shape["type"]]) or (isinstance(value, bool) and shape["type"] != "boolean"):
        raise invalid(f"{path} must be of the type {shape['type']}")
    match shape["type"]:
        case "structure" if not shape.get("document"):
            _check_structure(value, shape, path, shapes)
        case "list":
            _check_size(len(value), shape, path)
            for position, member in enumerate(value):
                check_shape(member, shape["member"]["shape"], f"{path}[{position}]", shapes)
        case "string":
            _check_size(len(value), shape, path)
            if value not in shape.get("enum", [value]) or not re.fullmatch(shape.get("pattern", "(?s:.*)"), value):
                raise invalid(f"{path} is not one of its values")
        case "integer":
            _check_size(value, shape, path)
        case _:
            pass


def _check_structure(value: dict[str, Any], shape: dict[str, Any], path: str, shapes: dict[str, Any]) -> None:
    unknown, missing = set(value) - set(shape["members"]), set(shape.get("required", ())) - set(value)
    if unknown or missing or (shape.get("union") and len(value) != 1):
        raise invalid(f"{path}: unknown {sorted(unknown)}, missing {sorted(missing)}")
    for member, inner in value.items():
        check_shape(inner, shape["members"][member]["shape"], f"{path}.{member}", shapes)


def _check_size(size: int, shape: dict[str, Any], path: str) -> None:
    if not shape.get("min", size) <= size <= shape.get("max", size):
        raise invalid(f"{path} must be from {shape.get('min')} to {shape.get('max')}")
