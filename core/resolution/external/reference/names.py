"""What each name of the reference is here: code, or a record, an enum or a base class made of a row when it is asked for.

One table for all versions of Llama Stack and OGX, 0.2 to 1.5: what was renamed is one class with both names, and fields that
a version does not know are kept. Sources: /openapi.json of 0.2.12 and 1.5, and what public packages import.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import cache, reduce
from types import ModuleType, new_class
from typing import Any, Final, Protocol, runtime_checkable

from core.errors import ProviderUnavailable
from core.resolution.external.reference.rows import ALIASES, BASES, CONSTANTS, ENUMS, FUNCTIONS, RECORDS, UNIONS

CODE: Final = {
    name: module
    for module, names in {
        "specs": "AdapterSpec InlineProviderSpec ProviderSpec RemoteProviderConfig RemoteProviderSpec"
        " remote_provider_spec",
        "helpers": "ConflictError CoreModelId HealthResponse InvalidParameterError ModelNotFoundError NeedsRequestProviderData"
        " ResourceNotFoundError UnsupportedModelError generate_object_id get_logger interleaved_content_as_str json_schema_type"
        " prepare_openai_completion_params register_schema sanitize_content_disposition_filename validate_embeddings_input_is_text webmethod",
        "registry": "ModelRegistryHelper ProviderModelEntry RemoteInferenceProviderConfig build_hf_repo_model_entry"
        " build_model_entry",
        "mixin": "OpenAIMixin",
        "indexes": "EmbeddingIndex OpenAIVectorStoreMixin VectorStoreWithIndex generate_chunk_id"
        " load_embedded_chunk_with_backward_compat sanitize_collection_name",
        "kvstore": "kvstore_impl",
    }.items()
    for name in names.split()
}


@cache
def find(name: str) -> Any:  # noqa: ANN401 - a class, a function, a union
    """Raises AttributeError for what no version has, or llambda has not."""
    if name == "Api":
        from core.apis.external import Api

        return Api
    if name in CODE:
        return getattr(_module(CODE[name]), name)
    if name in ALIASES:
        return find(ALIASES[name])
    return CONSTANTS[name] if name in CONSTANTS else _make(name)


def _module(name: str) -> ModuleType:
    match name:  # written out: packages for Lambda have what is imported by name
        case "specs":
            from core.resolution.external.reference import specs

            return specs
        case "helpers":
            from core.resolution.external.reference import helpers

            return helpers
        case "registry":
            from core.resolution.external.reference import registry

            return registry
        case "indexes":
            from core.resolution.external.reference import indexes

            return indexes
        case "kvstore":
            from core.resolution.external.reference import kvstore

            return kvstore
        case _:
            from core.resolution.external.reference import mixin

            return mixin


def _make(name: str) -> Any:  # noqa: ANN401 - a class, a function, a union
    if name in ENUMS:
        words = (word.partition("=") for word in ENUMS[name])
        return StrEnum(name, [(member, (value or member).replace("~", " ")) for member, _, value in words])
    if name in BASES:
        return runtime_checkable(new_class(name, (Protocol,)))
    if name in UNIONS:
        parts: list[Any] = [str if part == "str" else find(part) for part in UNIONS[name].split()]
        return reduce(lambda left, right: left | right, parts)
    if name in RECORDS:
        from core.resolution.external.reference.records import record_class

        return record_class(name)
    if name in FUNCTIONS:
        return _absent(name)
    if name == "__all__":
        return [*CODE, *CONSTANTS, *ENUMS, *BASES, *UNIONS, *RECORDS, *ALIASES, "Api"]
    raise AttributeError(name)


def _absent(name: str) -> Callable[..., Any]:
    """A function that packages import more often than they call it."""

    def refuse(*_: object, **__: object) -> Any:  # noqa: ANN401 - it returns nothing
        raise ProviderUnavailable(
            f"This provider's package is for Llama Stack: here it needs `{name}`, which llambda does not have."
        )

    return refuse
