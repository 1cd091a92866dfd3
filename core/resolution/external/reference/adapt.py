"""Providers written for the reference, recognised by their methods, and made this stack's."""

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from inspect import Parameter
from typing import Any, Final

from pydantic import BaseModel

from core.resolution.external.boundary import Unusable
from core.resolution.external.reference.calls import own_method, parameters
from core.resolution.external.reference.deps import Asked, AskedInference, AskedSafety
from core.resolution.external.reference.helpers import MAKING
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
    adapter = ADAPTERS.get(spec.api)
    adapted = None if adapter is None else adapter(provider_id, provider, config)
    if adapted is None:
        return provider
    _tell(provider, "__provider_id__", provider_id)
    _tell(provider, "__provider_spec__", spec)
    _tell(provider, "__provider_config__", config)
    return adapted


def beginning(provider: Any) -> Callable[[], Awaitable[None]] | None:  # noqa: ANN401 - an adapted provider, or somebody else's
    """What an adapter has to ask its provider before it serves; None where that is nothing."""
    is_ours = type(provider).__module__.startswith(f"{__package__}.")
    return getattr(provider, "begin", None) if is_ours else None


@contextmanager
def making(spec: ProviderSpec) -> Generator[None]:
    """While its factory runs."""
    token = MAKING.set(spec.provider_type)
    try:
        yield
    finally:
        MAKING.reset(token)


def wrap_deps(deps: Mapping[str, Any]) -> dict[str, Any]:
    """The other APIs, with the reference's methods beside this stack's, whose Protocols they keep."""
    return {api: _wrap(surface, WRAPPERS[api]) if api in WRAPPERS else surface for api, surface in deps.items()}


def _wrap(surface: Any, wrapper: type[Asked]) -> Any:  # noqa: ANN401 - keeps the surface's Protocol
    bases: tuple[type, ...] = (wrapper, surface.__class__)
    return type(f"{wrapper.__name__}Too", bases, {})(surface)


def _adapt_inference(provider_id: str, provider: Any, _: BaseModel) -> Any:  # noqa: ANN401 - somebody else's object
    if not _is_for_inference(provider):
        return None
    models = ReferenceModels(provider_id)
    _tell(provider, "model_store", models)
    return ReferenceInference(provider_id, provider, models)


def _adapt_safety(provider_id: str, provider: Any, _: BaseModel) -> Any:  # noqa: ANN401 - somebody else's object
    if not _is_for_safety(provider):
        return None
    _tell(provider, "shield_store", ReferenceShields())
    return ReferenceSafety(provider_id, provider)


def _adapt_vectors(provider_id: str, provider: Any, _: BaseModel) -> Any:  # noqa: ANN401 - somebody else's object
    from core.resolution.external.reference.vectors import METHODS, ReferenceStores, ReferenceVectors

    if hasattr(provider, "search") or not all(own_method(provider, name) for name in METHODS):
        return None
    stores = ReferenceStores()
    for name in ("vector_db_store", "vector_store_table"):
        _tell(provider, name, stores)
    return ReferenceVectors(provider_id, provider, stores)


def _adapt_files(provider_id: str, provider: Any, config: BaseModel) -> Any:  # noqa: ANN401 - somebody else's object
    from core.resolution.external.reference.files import METHODS, ReferenceFiles

    if hasattr(provider, "storage") or not all(own_method(provider, name) for name in METHODS):
        return None
    seconds = getattr(config, "ttl_secs", None)
    return ReferenceFiles(provider_id, provider, seconds if isinstance(seconds, int) and seconds > 0 else None)


def _adapt_tools(provider_id: str, provider: Any, _: BaseModel) -> Any:  # noqa: ANN401 - somebody else's object
    from core.resolution.external.reference.tools import METHODS, ReferenceTools, ReferenceToolStore

    if hasattr(provider, "list_tools") or not all(own_method(provider, name) for name in METHODS):
        return None
    _tell(provider, "tool_store", ReferenceToolStore())
    return ReferenceTools(provider_id, provider)


def _adapt_agents(provider_id: str, provider: Any, _: BaseModel) -> Any:  # noqa: ANN401 - somebody else's object
    from core.resolution.external.reference.agents import METHODS, ReferenceAgents

    if hasattr(provider, "stream_turn") or not all(own_method(provider, name) for name in METHODS):
        return None
    return ReferenceAgents(provider_id, provider)


def _adapt_batches(provider_id: str, provider: Any, _: BaseModel) -> Any:  # noqa: ANN401 - somebody else's object
    from core.resolution.external.reference.batches import METHODS, ReferenceBatches

    if not all(own_method(provider, name) for name in METHODS):
        return None
    return ReferenceBatches(provider_id, provider)


def _adapt_scoring(provider_id: str, provider: Any, _: BaseModel) -> Any:  # noqa: ANN401 - somebody else's object
    from core.resolution.external.reference.scoring import METHODS, ReferenceFunctions, ReferenceScoring

    if hasattr(provider, "score_row") and hasattr(provider, "functions"):
        return None
    if not all(own_method(provider, name) for name in METHODS):
        return None
    _tell(provider, "scoring_function_store", ReferenceFunctions())
    return ReferenceScoring(provider_id, provider)


def _adapt_datasets(provider_id: str, provider: Any, _: BaseModel) -> Any:  # noqa: ANN401 - somebody else's object
    from core.resolution.external.reference.datasets import METHODS, ReferenceDatasets, ReferenceDatasetStore

    method = own_method(provider, METHODS[0])
    if method is None or "start" in parameters(method):  # this stack's own form
        return None
    store = ReferenceDatasetStore()
    _tell(provider, "dataset_store", store)
    return ReferenceDatasets(provider_id, provider, store)


def _adapt_evals(provider_id: str, provider: Any, _: BaseModel) -> Any:  # noqa: ANN401 - somebody else's object
    from core.resolution.external.reference.evals import METHODS, ReferenceEvals

    if hasattr(provider, "check_benchmark") or not all(own_method(provider, name) for name in METHODS):
        return None
    return ReferenceEvals(provider_id, provider)


ADAPTERS: Final[Mapping[str, Callable[[str, Any, BaseModel], Any]]] = {
    "inference": _adapt_inference,
    "safety": _adapt_safety,
    "vector_io": _adapt_vectors,
    "files": _adapt_files,
    "tool_runtime": _adapt_tools,
    "responses": _adapt_agents,
    "batches": _adapt_batches,
    "scoring": _adapt_scoring,
    "datasetio": _adapt_datasets,
    "eval": _adapt_evals,
}
"""By API, what gives this stack's form of a provider; None for one that has it already."""


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
