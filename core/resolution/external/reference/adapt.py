"""Providers written for the reference, recognised by their methods, and made this stack's."""

from collections.abc import Mapping
from contextlib import suppress
from inspect import Parameter
from typing import Any, Final

from pydantic import BaseModel

from core.resolution.external.boundary import Unusable
from core.resolution.external.reference.calls import own_method, parameters
from core.resolution.external.reference.deps import Asked, AskedInference, AskedSafety
from core.resolution.external.reference.inference import METHODS, ReferenceInference, ReferenceModels
from core.resolution.external.reference.safety import ReferenceSafety, ReferenceShields
from core.resolution.provider_types import ProviderSpec

OLD = "this package is for Llama Stack before 0.2.2: it needs the native inference API; use a version of it that has"

WRAPPERS: Final[Mapping[str, type[Asked]]] = {"inference": AskedInference, "safety": AskedSafety}


def adapt(provider_id: str, spec: ProviderSpec, provider: Any, config: BaseModel) -> Any:  # noqa: ANN401 - somebody else's object
    """`provider` itself where it has this stack's methods.

    Raises:
        Unusable: it is for a version of the reference whose methods cannot be called.
    """
    adapted: Any = provider
    if spec.api == "inference" and _is_for_inference(provider):
        models = ReferenceModels(provider_id)
        _tell(provider, "model_store", models)
        adapted = ReferenceInference(provider_id, provider, models)
    elif spec.api == "safety" and _is_for_safety(provider):
        _tell(provider, "shield_store", ReferenceShields())
        adapted = ReferenceSafety(provider_id, provider)
    if adapted is not provider:
        _tell(provider, "__provider_id__", provider_id)
        _tell(provider, "__provider_spec__", spec)
        _tell(provider, "__provider_config__", config)
    return adapted


def wrap_deps(deps: Mapping[str, Any]) -> dict[str, Any]:
    """The other APIs, with the reference's methods beside this stack's, whose Protocols they keep."""
    return {api: _wrap(surface, WRAPPERS[api]) if api in WRAPPERS else surface for api, surface in deps.items()}


def _wrap(surface: Any, wrapper: type[Asked]) -> Any:  # noqa: ANN401 - keeps the surface's Protocol
    bases: tuple[type, ...] = (wrapper, surface.__class__)
    return type(f"{wrapper.__name__}Too", bases, {})(surface)


def _is_for_inference(provider: object) -> bool:
    if hasattr(provider, "stream_chat_completion"):
        return False
    if any(own_method(provider, name) for name in METHODS):
        return True
    native = own_method(provider, "chat_completion")
    if native is not None and "model_id" in parameters(native):
        raise Unusable(f"{OLD} {METHODS[0]}()")
    return False


def _is_for_safety(provider: object) -> bool:
    method = own_method(provider, "run_shield")
    if method is None or hasattr(provider, "check_shield"):
        return False
    offered = parameters(method)
    needed = [parameter for parameter in offered.values() if parameter.default is Parameter.empty]
    return "shield_id" in offered or len(needed) == 1


def _tell(provider: object, name: str, value: object) -> None:
    with suppress(AttributeError, TypeError, ValueError):  # one with slots, or a strict model, does not ask for it
        setattr(provider, name, value)
