"""Every provider type that a run config could name, and the fields of its config, for people."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

from pydantic import BaseModel

from core.config.load import Loaded
from core.config.problems import Problem
from core.config.sections import OLDER_APIS
from core.config.user_fields import secret_fields, user_fields
from core.frame.types import JsonObject
from core.resolution.check import available, config_class
from core.resolution.external.boundary import Foreign, Unusable
from core.resolution.external.packages import module_specs
from core.resolution.provider_types import ProviderSpec, Specs

BUILT_IN: Final = "built in"
NO_EFFECT: Final = "container_image has no effect here: a function's package has the provider's packages in it"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a config; `default` is as JSON has it, None too where there is none and it is `required`."""

    name: str
    type: str
    required: bool
    default: Any
    user_field: bool
    secret: bool
    description: str


def served_api(api: str | None) -> str | None:
    """Which one has the providers of this API."""
    return None if api is None else OLDER_APIS.get(api, api)


def known_types(loaded: Loaded) -> tuple[Specs, list[Problem]]:
    """The built-in types, those of the run config's directory, and those of its entries' modules."""
    specs, problems = available(loaded.external_providers_dir)
    for _, path, entry in loaded.provider_entries():
        if entry.module is not None:
            try:
                specs = specs | module_specs(entry.module)
            except Unusable as wrong:
                place = loaded.places.source_path(f"{path}.module")
                problems = [*problems, *(Problem(place, reason) for reason in wrong.reasons)]
    return specs, problems


def summary(spec: ProviderSpec) -> JsonObject:
    """What a list shows of a type."""
    return {"api": spec.api, "provider_type": spec.provider_type, "from": spec.origin or BUILT_IN}


def details(spec: ProviderSpec) -> JsonObject:
    """All of a type; raises Unusable and ImportError for code that cannot be loaded."""
    return {
        **summary(spec),
        "module": spec.module,
        "api_dependencies": list(spec.api_dependencies),
        "optional_api_dependencies": list(spec.optional_api_dependencies),
        "pip_packages": list(spec.pip_packages),
        "provider_data_validator": spec.provider_data_validator,
        "container_image": spec.container_image,
        "fields": [asdict(field) for field in fields(spec)],
    }


def fields(spec: ProviderSpec) -> list[Field]:
    """Of its config, in their order."""
    model = config_class(spec)
    with Foreign(f"the JSON schema of {spec.config_class or model.__name__}"):
        return list(_fields(model))


def _fields(model: type[BaseModel]) -> Iterator[Field]:
    schema = model.model_json_schema()
    defined: Mapping[str, JsonObject] = schema.get("$defs", {})
    schema = defined.get(str(schema.get("$ref")).rpartition("/")[2], schema)  # of one that contains itself
    secrets, users = secret_fields(model), user_fields(model)
    names = {field.alias or name: name for name, field in model.model_fields.items()}
    for alias, field in cast("Mapping[str, JsonObject]", schema.get("properties", {})).items():
        name = names.get(alias, alias)
        yield Field(
            name=alias,
            type=_type(field, defined),
            required=alias in schema.get("required", ()),
            default=None if name in secrets else field.get("default"),
            user_field=name in users,
            secret=name in secrets,
            description=" ".join(str(field.get("description", "")).split()),
        )


def _type(schema: JsonObject, defined: Mapping[str, JsonObject]) -> str:
    """A JSON schema's type in a few words: `string`, `integer or null`, `list of string`, `"a" or "b"`."""
    match schema:
        case {"$ref": str(path)}:
            name = path.rpartition("/")[2]
            inner = defined.get(name, {})
            return name if "properties" in inner else _type(inner, {})
        case {"anyOf": [*several]} | {"oneOf": [*several]} | {"allOf": [*several]}:
            return " or ".join(dict.fromkeys(_type(one, defined) for one in several))
        case {"enum": [*values]}:
            return " or ".join(repr(value) for value in values)
        case {"type": "array", "items": dict()}:
            return f"list of {_type(schema['items'], defined)}"
        case _:
            return repr(schema["const"]) if "const" in schema else str(schema.get("type", "anything"))
