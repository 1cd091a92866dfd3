"""External provider types: one YAML file each, `<dir>/{remote,inline}/<api>/<name>.yaml`."""

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.config.problems import Problem
from core.resolution.specs import ProviderSpec, Specs

type Dotted = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]


class _Module(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    module: Dotted
    config_class: Dotted
    pip_packages: tuple[str, ...] = ()
    provider_data_validator: Dotted | None = None


class _Adapter(_Module):
    adapter_type: Annotated[str, Field(min_length=1)]


class RemoteFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    adapter: _Adapter
    api_dependencies: tuple[str, ...] = ()
    optional_api_dependencies: tuple[str, ...] = ()


class InlineFile(_Module):
    api_dependencies: tuple[str, ...] = ()
    optional_api_dependencies: tuple[str, ...] = ()
    container_image: str | None = None


FLAVOURS: Final[dict[str, type[RemoteFile | InlineFile]]] = {"remote": RemoteFile, "inline": InlineFile}


def external_specs(directory: str) -> tuple[Specs, list[Problem]]:
    """The provider types found under `directory`, and what is wrong with the files there."""
    root = Path(directory).expanduser()
    if not root.is_dir():
        return {}, [Problem("external_providers_dir", f"there is no directory `{root}`; create it or mend the path")]
    specs: Specs = {}
    problems: list[Problem] = []
    for flavour, shape in FLAVOURS.items():
        for file in sorted((root / flavour).glob("*/*.yaml")):
            api = file.parent.name
            try:
                spec = _spec(f"{flavour}::{file.stem}", api, shape.model_validate(_read(file)))
            except (ValidationError, ValueError, OSError) as invalid:
                problems.append(Problem("external_providers_dir", f"{file.relative_to(root)}: {_reason(invalid)}"))
            else:
                specs[api, spec.provider_type] = spec
    return specs, problems


def _read(file: Path) -> Any:  # noqa: ANN401 - the file's shape is validated by the caller
    import yaml

    try:
        return yaml.safe_load(file.read_text("utf-8"))
    except yaml.YAMLError as broken:
        raise ValueError(str(broken).replace("\n", " ")) from None


def _reason(invalid: Exception) -> str:
    if isinstance(invalid, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in invalid.errors(include_url=False))
    return str(invalid)


def _spec(provider_type: str, api: str, file: RemoteFile | InlineFile) -> ProviderSpec:
    """A remote type is named by its adapter_type, an inline one by its file."""
    source, factory = (
        (file.adapter, "get_adapter_impl") if isinstance(file, RemoteFile) else (file, "get_provider_impl")
    )
    return ProviderSpec(
        api=api,
        provider_type=f"remote::{source.adapter_type}" if isinstance(source, _Adapter) else provider_type,
        module=source.module,
        api_dependencies=file.api_dependencies,
        optional_api_dependencies=file.optional_api_dependencies,
        config_class=source.config_class,
        factory=factory,
    )
