"""External provider types from files: `<dir>/{remote,inline}/<api>/<name>.yaml`, or .json where the build made it so.

A file is as Llama Stack 0.2 has it (`adapter`, or the inline form) or as OGX 1.5 has it (flat).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from core.apis.index import has_providers
from core.config.places import Places, Value
from core.config.problems import Problem
from core.config.sections import AUTOMATIC_APIS, OLDER_APIS, ROUTED_APIS
from core.config.source import read
from core.config.validation import check
from core.platform.suggestions import did_you_mean
from core.resolution.provider_types import ProviderSpec, Specs, built_in

PATH: Final = "external_providers_dir"
FACTORIES: Final = {"remote": "get_adapter_impl", "inline": "get_provider_impl"}
NAME: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
REQUIREMENT: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # how a PEP 508 requirement begins
APIS_KNOWN: Final = frozenset((*ROUTED_APIS, *AUTOMATIC_APIS))


def _check_dotted(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(f"must be the dotted name of a module, got {value!r}")
    return value


def _in_module(value: str) -> str:
    if "." not in _check_dotted(value):
        raise ValueError(f"must be module.Class, got {value!r}")
    return value


def _requirement(value: str) -> str:
    if not REQUIREMENT.match(value):
        raise ValueError(f"must be what pip takes, as name or name>=1.0, got {value!r}")
    return value


def _api(value: str) -> str:
    if value not in APIS_KNOWN:
        raise ValueError(f"`{value}` is no API{did_you_mean(value, APIS_KNOWN)}")
    return value


type Module = Annotated[str, AfterValidator(_check_dotted)]
type Class = Annotated[str, AfterValidator(_in_module)]
type Requirement = Annotated[str, AfterValidator(_requirement)]
type Text = Annotated[str, Field(min_length=1)]
type ApiName = Annotated[str, AfterValidator(_api)]
type Apis = tuple[ApiName, ...]


class CodeFields(BaseModel):
    """What every form says of a provider's code."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    module: Module
    config_class: Class
    pip_packages: tuple[Requirement, ...] = ()
    provider_data_validator: Class | None = None


class Adapter(CodeFields):
    adapter_type: Text
    description: str | None = None


class RemoteFile(BaseModel):
    """Llama Stack 0.2's of a remote provider."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    adapter: Adapter
    api: ApiName
    provider_type: Text | None = None
    api_dependencies: Apis = ()
    optional_api_dependencies: Apis = ()


class FlatFile(CodeFields):
    """Llama Stack 0.2's of an inline provider, and OGX 1.5's of both."""

    api: ApiName
    provider_type: Text | None = None
    adapter_type: Text | None = None
    api_dependencies: Apis = ()
    optional_api_dependencies: Apis = ()
    container_image: str | None = None
    description: str | None = None
    is_external: bool = True
    toolgroup_id: str | None = None
    execution_mode: str | None = None
    deprecation_warning: str | None = None
    deprecation_error: str | None = None


type SpecFile = RemoteFile | FlatFile


def external_specs(directory: str) -> tuple[Specs, list[Problem]]:
    """The provider types found under `directory`, and what is wrong with the files there."""
    root = Path(directory).expanduser()
    fault = _fault_of(root)
    if fault is not None:
        return {}, [Problem(PATH, fault)]
    problems: list[Problem] = []
    by_type: dict[tuple[str, str], list[ProviderSpec]] = {}
    for file, flavour, api in _files(root, problems):
        name = file.relative_to(root).as_posix()
        raw, faults = read(file)
        spec = None
        if raw is not None and not faults:
            spec, spec_faults = spec_from({"api": api, **raw}, flavour, name, file.stem)
            faults = [*faults, *(Problem("", text) for text in spec_faults)]
        problems += [Problem(PATH, f"{name}: {fault}") for fault in faults]
        if spec is not None and spec.api != OLDER_APIS.get(api, api):
            problems.append(Problem(PATH, f"{name}: api: is `{spec.api}`, but the file is in {flavour}/{api}; move it"))
        elif spec is not None:
            by_type.setdefault((spec.api, spec.provider_type), []).append(spec)
    problems += [Problem(PATH, fault) for specs in by_type.values() if (fault := _twice(specs)) is not None]
    return {key: specs[0] for key, specs in by_type.items()}, problems


def _fault_of(root: Path) -> str | None:
    try:
        if root.is_dir():
            next(root.iterdir(), None)
            return None
    except OSError as failure:
        return f"the directory `{root}` cannot be read ({failure.strerror}); mend its permissions"
    if root.exists():
        return f"`{root}` is not a directory; name the one that has remote/ and inline/ in it"
    return f"there is no directory `{root}`; create it or mend the path"


def _files(root: Path, problems: list[Problem]) -> Iterator[tuple[Path, str, str]]:
    """Each spec file with its flavour and API; those of APIs that this build does not serve are left alone."""
    for flavour in FACTORIES:
        for file in sorted((root / flavour).glob("*/*")):
            api, name = file.parent.name, file.relative_to(root).as_posix()
            if file.suffix == ".yml":
                problems.append(Problem(PATH, f"{name}: its name must end in .yaml; rename it"))
            elif file.suffix not in {".yaml", ".json"}:
                continue
            elif api not in APIS_KNOWN:
                problems.append(Problem(PATH, f"{name}: `{api}` is no API{did_you_mean(api, APIS_KNOWN)}"))
            elif has_providers(OLDER_APIS.get(api, api)):
                yield file, flavour, api


def _twice(specs: list[ProviderSpec]) -> str | None:
    """Why these, of one type name, cannot all be."""
    first, flavour = specs[0], specs[0].provider_type.partition("::")[0]
    mend = "give one of them another adapter_type" if flavour == "remote" else "rename one of the files"
    if len(specs) > 1:
        return f"{' and '.join(spec.origin for spec in specs)} all define `{first.provider_type}`; {mend}"
    built_in_spec = built_in().get((first.api, first.provider_type))
    if built_in_spec is None:
        return None
    mend = "give it another adapter_type" if flavour == "remote" else "rename the file"
    return f"{first.origin} defines `{first.provider_type}`, which is built in ({built_in_spec.module}); {mend}"


def spec_from(
    raw: Mapping[str, Value], flavour: str, origin: str, stem: str = ""
) -> tuple[ProviderSpec | None, list[str]]:
    """A spec in any of the forms, or everything that is wrong with it, as `field: what`; `stem` names an inline file."""
    shape = RemoteFile if flavour == "remote" and ("adapter" in raw or "module" not in raw) else FlatFile
    file, faults = _read_as(shape, raw)
    if file is None:
        return None, faults
    code = file.adapter if isinstance(file, RemoteFile) else file
    name, fault = _type_of(file, flavour, stem)
    if fault is not None:
        return None, [fault]
    spec = ProviderSpec(
        api=OLDER_APIS.get(file.api, file.api),
        provider_type=name,
        module=code.module,
        api_dependencies=file.api_dependencies,
        optional_api_dependencies=file.optional_api_dependencies,
        config_class=code.config_class,
        factory=FACTORIES[flavour],
        origin=origin,
        pip_packages=code.pip_packages,
        provider_data_validator=code.provider_data_validator,
        container_image=file.container_image if isinstance(file, FlatFile) else None,
    )
    return spec, []


def _read_as(shape: type[SpecFile], raw: Mapping[str, Value]) -> tuple[SpecFile | None, list[str]]:
    checked = check(shape, raw, "", Places())
    return checked.record, [str(problem) for problem in checked.problems]


def _type_of(file: SpecFile, flavour: str, stem: str) -> tuple[str, str | None]:
    """The provider type, and what is wrong with it: a remote one is named by its adapter_type, an inline one by its file."""
    adapter_type = file.adapter.adapter_type if isinstance(file, RemoteFile) else file.adapter_type
    own = f"remote::{adapter_type}" if flavour == "remote" and adapter_type else ""
    own = f"inline::{stem}" if flavour == "inline" and stem else own
    provider_type = file.provider_type or own
    if not provider_type:
        return "", f"{'adapter_type' if flavour == 'remote' else 'provider_type'}: is required"
    if not provider_type.startswith(f"{flavour}::"):
        return "", f"provider_type: must begin with {flavour}::, got {provider_type!r}"
    if own and flavour == "remote" and provider_type != own:
        return "", f"provider_type: is `{provider_type}`, but adapter_type makes it `{own}`; remove one of them"
    return provider_type, None
