"""External provider types from packages: `module: package==version` on a provider's entry, as Llama Stack 0.2.16 has it.

`package.provider.get_provider_spec()` returns a spec or a list of them: mappings, or objects with attributes, of the
fields of a flat spec file.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
import re
from typing import Any, Final, cast

from core.apis.index import has_providers
from core.config.places import Value
from core.platform.commands import pip_install, pip_install_here
from core.resolution.external.boundary import Unusable, import_package, run
from core.resolution.external.spec_files import Adapter, FlatFile, spec_from
from core.resolution.provider_types import ProviderSpec, Specs, built_in

FUNCTION: Final = "get_provider_spec"
MODULE: Final = re.compile(r"(?P<package>[A-Za-z][A-Za-z0-9._-]*)(==(?P<version>[A-Za-z0-9.!+_-]+))?")
FIELDS: Final = tuple(FlatFile.model_fields)
ADAPTER_FIELDS: Final = tuple(Adapter.model_fields)


@dataclass(frozen=True, slots=True)
class Package:
    """`module` of an entry; `module` here is what is imported, `version` is empty where any will do."""

    name: str
    version: str

    @property
    def module(self) -> str:
        """As pip's `acme-provider` is imported: `acme_provider`."""
        return self.name.replace("-", "_")


def package_of(module: str) -> Package:
    """Raises Unusable for what is no `package` and no `package==version`."""
    match = MODULE.fullmatch(module.replace(" ", ""))
    if match is None:
        raise Unusable(f"must be package or package==version, got {module!r}")
    return Package(match["package"], match["version"] or "")


def module_spec(module: str, api: str, provider_type: str) -> ProviderSpec:
    """The spec of this type that the package has.

    Raises:
        Unusable: with everything that is wrong, and what to do.
    """
    specs, reasons = _specs_of(module)
    if reasons:
        raise Unusable(*reasons)
    spec = specs.get((api, provider_type))
    if spec is None:
        choices = ", ".join(f"{name} ({of})" for of, name in sorted(specs)) or "none"
        raise Unusable(f"`{package_of(module).name}` has no {api} provider `{provider_type}`; it has: {choices}")
    return spec


def module_specs(module: str) -> Specs:
    """All that the package has of the APIs of this build; raises Unusable."""
    specs, reasons = _specs_of(module)
    if reasons:
        raise Unusable(*reasons)
    return specs


def version_fault(module: str) -> str | None:
    """Whether another version is installed than the entry asks for."""
    package = package_of(module)
    if not package.version:
        return None
    try:
        installed = metadata.version(package.name)
    except metadata.PackageNotFoundError:
        installed = ""
    if installed == package.version:
        return None
    install = pip_install([f"{package.name}=={package.version}"])
    if not installed:
        return f"no installed package says that it is {package.name}; `{install}`"
    return f"{package.name} {installed} is installed; `{install}`, or write `module: {package.name}=={installed}`"


@cache
def _specs_of(module: str) -> tuple[Specs, tuple[str, ...]]:
    """Asked for once: the process would import the same code again."""
    try:
        package = package_of(module)
        raw_specs = run(f"{package.module}.provider.{FUNCTION}()", lambda: _ask_package(package))
    except Unusable as reason:
        return {}, reason.reasons
    specs: Specs = {}
    reasons: list[str] = []
    for index, raw in enumerate(raw_specs):
        spec, faults = _spec(raw, f"module {module}")
        reasons += [f"{FUNCTION}() of {package.module}.provider, spec {index}: {fault}" for fault in faults]
        if spec is not None:
            specs[spec.api, spec.provider_type] = spec
    return specs, tuple(reasons)


def _ask_package(package: Package) -> list[dict[str, Value] | str]:
    """Each spec as a file would say it; of what is none, its type."""
    requirement = f"{package.name}=={package.version}" if package.version else package.name
    name = f"{package.module}.provider"
    module = import_package(name, f"`{pip_install([requirement])}`, or in its folder `{pip_install_here()}`")
    function = getattr(module, FUNCTION, None)
    if not callable(function):
        raise Unusable(f"`{name}` has no {FUNCTION}(); define it, or describe the provider in external_providers_dir")
    answer: Any = function()
    one = isinstance(answer, Mapping | str) or hasattr(answer, "provider_type") or not isinstance(answer, Iterable)
    specs: list[Any] = [answer] if one else list(cast("Iterable[Any]", answer))
    return [_raw(spec) for spec in specs]


def _spec(raw: dict[str, Value] | str, origin: str) -> tuple[ProviderSpec | None, list[str]]:
    if isinstance(raw, str):
        return None, [f"must be a mapping or an object with a provider_type, got {raw}"]
    flavour = "inline" if str(raw.get("provider_type", "")).startswith("inline::") else "remote"
    spec, faults = spec_from(raw, flavour, origin)
    if spec is None:
        return None, faults
    if (spec.api, spec.provider_type) in built_in():
        return None, [f"`{spec.provider_type}` is built in; the package must give it another provider_type"]
    return spec if has_providers(spec.api) else None, []


def _raw(value: Any) -> dict[str, Value] | str:  # noqa: ANN401 - whatever an author returned
    """Enum members by their values, and of an object the known fields that are not None."""
    if isinstance(value, Mapping):
        return _mapping(cast("Mapping[str, Any]", value))
    if not hasattr(value, "provider_type"):
        return type(value).__name__
    adapter = getattr(value, "adapter", None)
    fields = {name: getattr(value, name, None) for name in FIELDS}
    fields |= {name: value for name in ADAPTER_FIELDS if (value := getattr(adapter, name, None)) is not None}
    return {name: _plain(value) for name, value in fields.items() if value is not None}


def _mapping(fields: Mapping[str, Any]) -> dict[str, Value]:
    return {str(key): _plain(value) for key, value in fields.items()}


def _plain(value: Any) -> Value:  # noqa: ANN401 - whatever an author gave
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in cast("Iterable[Any]", value)]
    return getattr(value, "value", value)
