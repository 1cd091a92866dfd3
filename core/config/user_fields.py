"""Which fields of a provider's config a user may see and set while the stack runs.

A field is a user's where its config marks it so: `json_schema_extra={"user_field": True}`, or `USER` here, which says
the same. The rule for marking: a user may tune how a remote is called and which one; never what it is trusted with,
as TLS, roles, files and network guards are. Only fields of the config itself count: a marked one goes as a whole.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, TypeAliasType, get_args, get_origin

from pydantic import BaseModel, Field, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

from core.config.places import to_mapping
from core.config.redact import MASK, redact
from core.frame.types import JsonObject

USER: Final[Any] = Field(json_schema_extra={"user_field": True})
"""Marks a field, as `timeout: Annotated[float, USER]`."""


def user_fields(config: type[BaseModel]) -> frozenset[str]:
    """The names of the fields that are a user's."""
    return frozenset(name for name, field in config.model_fields.items() if _extra(field).get("user_field") is True)


def secret_fields(config: type[BaseModel]) -> frozenset[str]:
    """The names of the fields whose type is, or may be, a secret's."""
    return frozenset(name for name, field in config.model_fields.items() if _is_secret(field.annotation))


def select_user_fields(config: type[BaseModel], values: Mapping[str, Any]) -> tuple[JsonObject, list[str]]:
    """What a user may set of `values`, and the other keys, in their order.

    A mask in the place of a secret is neither: it is what was shown, and leaves the secret as it is. One within a
    longer text, as a URL, cannot be taken back out of it: that key is among the others.
    """
    allowed = user_fields(config)
    dropped = [key for key, value in values.items() if key not in allowed or (value != MASK and _has_mask(value))]
    others = frozenset(dropped)
    return {key: value for key, value in values.items() if key not in others and value != MASK}, dropped


def foreign_fields(config: type[BaseModel], values: Mapping[str, Any]) -> list[str]:
    """Those of `values` that no user may set, in their order.

    What a field is by default sets nothing, nor does the null that withholds a secret.
    """
    allowed, secrets, fields = user_fields(config), secret_fields(config), config.model_fields
    return [
        name
        for name, value in values.items()
        if name not in allowed
        and not (value is None and name in secrets)
        and (name not in fields or fields[name].is_required() or value != fields[name].get_default())
    ]


def view(config: BaseModel) -> JsonObject:
    """The user's fields, as JSON has them; secrets are masked, those that are not set are None."""
    secrets = secret_fields(type(config))
    values = redact(config.model_dump(mode="json", include=set(user_fields(type(config)))))
    return {name: MASK if name in secrets and value else value for name, value in values.items()}


def machine_defaults(config: BaseModel) -> list[str]:
    """The user's fields that nobody set and whose default is taken from the machine (`discovered` of a field)."""
    fields = type(config).model_fields
    ours = user_fields(type(config)) - config.model_fields_set
    return [name for name, field in fields.items() if name in ours and "discovered" in _extra(field)]


def _extra(field: FieldInfo) -> Mapping[str, Any]:
    return to_mapping(field.json_schema_extra)  # may also be a function


def _has_mask(value: object) -> bool:
    return isinstance(value, str) and MASK in value


def _is_secret(annotation: object) -> bool:
    return any(isinstance(part, type) and issubclass(part, SecretStr | SecretBytes) for part in _parts(annotation))


def _parts(annotation: object) -> Iterator[object]:
    """The types that an annotation is made of, as of a union, a list or an alias."""
    if isinstance(annotation, TypeAliasType):
        yield from _parts(annotation.__value__)
        return
    yield annotation
    arguments = get_args(annotation)
    for part in arguments[:1] if get_origin(annotation) is Annotated else arguments:
        yield from _parts(part)
