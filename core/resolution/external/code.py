"""The code behind an external provider's spec: its config class, its factory, its validator; and what is not installed."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, cast

from pydantic import BaseModel, SecretStr

from core.config.places import Value
from core.config.redact import names_secret
from core.errors import ProviderUnavailable
from core.platform.commands import pip_install, pip_install_here
from core.platform.secrets import is_reference, parse, reveal
from core.resolution.external.boundary import Foreign, Unusable, import_package
from core.resolution.external.finder import DISTRIBUTIONS
from core.resolution.external.spec_files import REQUIREMENT
from core.resolution.provider_types import ProviderSpec


@dataclass(frozen=True, slots=True)
class ProviderCode:
    """`factory(config, deps)` is to be awaited; `validator` is of what callers bring in the provider data header."""

    config: type[BaseModel]
    factory: Callable[..., Any]
    validator: type[BaseModel] | None


def code_of(spec: ProviderSpec) -> ProviderCode:
    """Raises Unusable with everything that is wrong; says nothing of `pip_packages`, which may be imported later."""
    parts: dict[str, Any] = {}
    reasons: list[str] = []
    for name, load in (("config", config_class), ("factory", _factory), ("validator", _validator)):
        try:
            parts[name] = load(spec)
        except Unusable as reason:
            reasons += [text for text in reason.reasons if text not in reasons]
    if reasons:
        raise Unusable(*reasons)
    return ProviderCode(**parts)


def config_class(spec: ProviderSpec) -> type[BaseModel]:
    """The class that the spec names; raises Unusable."""
    return _model(spec, "config_class", spec.config_class or "")


def missing_packages(spec: ProviderSpec) -> list[str]:
    """Those of its `pip_packages` that are not there; what has a URL in it is not looked for."""
    requirements = [requirement for requirement in spec.pip_packages if "://" not in requirement]
    return [requirement for requirement in requirements if not _is_there(requirement_name(requirement))]


def requirement_name(requirement: str) -> str:
    """`ollama` of `ollama[extra]>=0.3`."""
    match = REQUIREMENT.match(requirement)
    return match[0] if match is not None else requirement


def secrets_of(values: Value) -> Collection[str]:
    """The texts that are secret by their type or by the name of their key, so that no message repeats them."""
    return set(_secrets(values, secret=False))


async def reveal_secrets(config: BaseModel) -> BaseModel:
    """The config with the secrets that its own fields refer to, as they are now.

    Raises:
        Unusable: one of them cannot be read.
    """
    fields = {name: value.get_secret_value() for name, value in vars(config).items() if isinstance(value, SecretStr)}
    try:
        values = {name: SecretStr(await reveal(text)) for name, text in fields.items() if is_reference(text)}
    except ProviderUnavailable as failure:
        raise Unusable(failure.message) from failure
    return config.model_copy(update=values) if values else config


def malformed_references(config: BaseModel) -> Iterator[tuple[str, str]]:
    """Its own fields that refer to secrets in no known form, and what is wrong with each."""
    for name, value in vars(config).items():
        if isinstance(value, SecretStr) and is_reference(value.get_secret_value()):
            try:
                parse(value.get_secret_value())
            except ValueError as wrong:
                yield name, str(wrong)


def _secrets(values: Value, *, secret: bool) -> Iterator[str]:
    match values:
        case SecretStr():
            yield values.get_secret_value()
        case str() if secret:
            yield values
        case BaseModel():
            yield from _secrets(vars(values), secret=secret)
        case Mapping():
            for key, value in cast("Mapping[str, Value]", values).items():
                yield from _secrets(value, secret=secret or names_secret(str(key)))
        case list() | tuple():
            for value in cast("Sequence[Value]", values):
                yield from _secrets(value, secret=secret)
        case _:
            return


def _is_there(name: str) -> bool:
    if name.lower().replace("_", "-") in DISTRIBUTIONS:  # whose names the finder has
        return True
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _install(spec: ProviderSpec) -> str:
    missing = missing_packages(spec)
    packages = f"`{pip_install(missing)}`, and " if missing else ""
    return f"{packages}install the package that has it (in its folder: `{pip_install_here()}`)"


def _factory(spec: ProviderSpec) -> Callable[..., Any]:
    factory = _find_attribute(spec, spec.module, spec.factory or "")
    if not callable(factory):
        raise Unusable(
            f"module `{spec.module}` has no {spec.factory}(config, deps); define it there as an async function"
        )
    checked_factory: Callable[..., Any] = factory
    return checked_factory


def _validator(spec: ProviderSpec) -> type[BaseModel] | None:
    dotted = spec.provider_data_validator
    return None if dotted is None else _model(spec, "provider_data_validator", dotted)


def _model(spec: ProviderSpec, field: str, dotted: str) -> type[BaseModel]:
    module, _, name = dotted.rpartition(".")
    model = _find_attribute(spec, module, name)
    if model is None:
        raise Unusable(f"{field}: `{module}` has no {name}; mend {spec.origin}")
    if not isinstance(model, type) or not issubclass(model, BaseModel):
        raise Unusable(f"{field}: `{dotted}` is no pydantic model; derive it from pydantic.BaseModel")
    return model


def _find_attribute(spec: ProviderSpec, module: str, name: str) -> Any:  # noqa: ANN401 - whatever an author defined
    loaded_module = import_package(module, _install(spec))
    with Foreign(f"`{module}.{name}`"):
        return getattr(loaded_module, name, None)
