"""An external provider: made by its factory, held to its Protocol, and let go of when the stack closes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from inspect import isawaitable, isclass, signature
from typing import Any, override

from pydantic import AliasChoices, BaseModel, ValidationError

from core.errors import InvalidRequest
from core.frame.callers import PROVIDER_DATA_HEADERS
from core.platform.environment import provider_seconds
from core.resolution.external.boundary import OR_WAIT, Foreign, Unusable
from core.resolution.external.code import ProviderCode, secrets_of
from core.resolution.external.compliance import check_compliance
from core.resolution.external.finder import is_asked_for
from core.resolution.provider_types import ProviderSpec
from core.routing.isolation import await_answer


class Deps(dict[str, Any]):
    """By the name of an API, or by a member of an enum whose value is the name: `deps[Api.inference]`."""

    @override
    def __getitem__(self, key: Any) -> Any:
        name = getattr(key, "value", key)
        if name not in self:
            raise KeyError(f"{name} is not here; name it in the spec's api_dependencies, or use deps.get()")
        return super().__getitem__(name)

    @override
    def __contains__(self, key: object) -> bool:
        return super().__contains__(getattr(key, "value", key))

    @override
    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(getattr(key, "value", key), default)


class ExternalProvider:
    """Somebody else's object, all of whose methods it has."""

    def __init__(self, provider_id: str, provider: Any, validator: type[BaseModel] | None) -> None:  # noqa: ANN401 - somebody else's object
        """`validator` is of what callers bring."""
        self._provider_id = provider_id
        self._provider = provider
        self._validator = validator

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - somebody else's methods
        return getattr(self._provider, name)

    async def close(self) -> None:
        """By its `close`, or the reference's `shutdown`."""
        end = getattr(self._provider, "close", None) or getattr(self._provider, "shutdown", None)
        if end is None:
            return
        await await_answer(end())


class ForCallersKeys(ExternalProvider):
    """One that a caller may bring data to, as TakesProviderData."""

    def with_provider_data(self, data: Mapping[str, Any]) -> Any:  # noqa: ANN401 - somebody else's object
        """The provider as this caller gets it; raises InvalidRequest for data that the validator refuses."""
        if self._validator is not None:
            try:
                data = dict(self._validator.model_validate(data))
            except ValidationError as invalid:
                if data.keys().isdisjoint(_names_of(self._validator)):
                    return self  # the header is for all providers: this caller brings something for others alone
                raise _refusal_of(invalid) from None
        return self._provider.with_provider_data(data)


def _names_of(model: type[BaseModel]) -> Iterator[str]:
    """What the fields of data for `model` may be called."""
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        yield name
        for choice in alias.choices if isinstance(alias, AliasChoices) else [alias]:
            if choice is not None:
                yield choice if isinstance(choice, str) else str(choice.path[0])


def _refusal_of(invalid: ValidationError) -> InvalidRequest:
    """The fields that the validator refuses, and no value."""
    errors = invalid.errors(include_url=False, include_context=False, include_input=False)
    faults = [f"{'.'.join(map(str, error['loc'])) or 'the object'} {_refusal(error['type'])}" for error in errors]
    return InvalidRequest(f"Header {PROVIDER_DATA_HEADERS[0]}: {'; '.join(faults)}.")


def _refusal(kind: str) -> str:
    return "is required" if kind == "missing" else f"is not valid ({kind.replace('_', ' ')})"


async def make(
    provider_id: str, spec: ProviderSpec, code: ProviderCode, config: BaseModel, deps: Mapping[str, Any], protocol: type
) -> ExternalProvider:
    """What the factory makes of its config and of what it depends on.

    Raises:
        Unusable: the factory raised, took too long, or made something else.
        NotCompliant: what it made does not keep `protocol`.
    """
    name = f"{spec.factory} of `{spec.module}`"
    from core.resolution.external.reference import adapt  # late: none of it is for what imports this module alone

    if is_asked_for():
        deps = adapt.wrap_deps(deps)
    with adapt.making(spec):
        provider = await _call_factory(name, code, config, Deps(deps))
    if provider is None or isclass(provider):
        result = f"the class {provider.__name__}" if isclass(provider) else "nothing"
        raise Unusable(f"{name} returned {result}; return an instance of the provider")
    provider = adapt.adapt(provider_id, spec, provider, config)
    if (begin := adapt.beginning(provider)) is not None:
        await _wait_for(f"what is asked first of `{spec.module}`", config, begin())
    takes_data = hasattr(provider, "with_provider_data")
    if code.validator is not None and not takes_data:
        raise Unusable(
            f"provider_data_validator needs a method with_provider_data(data) of {type(provider).__name__}, "
            "which returns the provider as this caller gets it"
        )
    without = ("close",) if hasattr(provider, "shutdown") else ()
    check_compliance(provider_id, provider, protocol, without=without)
    return (ForCallersKeys if takes_data else ExternalProvider)(provider_id, provider, code.validator)


def _policy(factory: Callable[..., Any]) -> list[list[object]]:
    """Llama Stack's third argument, its access policy, for a factory that cannot do without: no rules, which are the stack's."""
    needed = [one for one in signature(factory).parameters.values() if one.default is one.empty]
    positional = [one for one in needed if one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}]
    return [[]] if len(positional) > len(("config", "deps")) else []


async def _call_factory(name: str, code: ProviderCode, config: BaseModel, deps: Deps) -> Any:  # noqa: ANN401 - somebody else's object
    with Foreign(name, secrets_of(config)):
        coming = code.factory(config, deps, *_policy(code.factory))
        if not isawaitable(coming):
            raise Unusable(f"{name} is no coroutine function; write `async def`")
    return await _wait_for(name, config, coming)


async def _wait_for(name: str, config: BaseModel, coming: Awaitable[Any]) -> Any:  # noqa: ANN401 - somebody else's answer
    with Foreign(name, secrets_of(config)):
        seconds = provider_seconds()
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await coming
        except TimeoutError:
            if not limit.expired():
                raise
            raise Unusable(
                f"{name} took longer than {seconds:g} s; connect at the first call rather than when it is made, {OR_WAIT}"
            ) from None
