"""What is wrong with a run config's providers: their types, their config, what they need.

Works on what was loaded rather than on the validated records alone, so that one mistake elsewhere
does not hide those here: `llambda config validate` reports all of them at once.
"""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from pydantic import BaseModel

from core.apis.index import configurable_names, has_providers, kinds, manifest
from core.config.document import ProviderEntry
from core.config.load import Loaded
from core.config.places import to_mapping
from core.config.problems import Problem
from core.config.records import LocalConfig, Record, record_of_nothing
from core.platform.suggestions import did_you_mean
from core.providers.http.remote import RemoteConfig
from core.resolution.callers_parts import callers_reach, problems_of, reach_of
from core.resolution.order import DependencyCycle, dependency_order
from core.resolution.protection import limit_problems, protection_problems
from core.resolution.provider_types import INSTEAD, ProviderSpec, Specs, built_in
from core.stores.connect import STATE, unset

if TYPE_CHECKING:
    from core.resolution.deployment import DeployTarget

NO_PROVIDER: Final = (
    "no provider serves API `{0}`: add one to `providers.{0}` (llambda providers list), or take it out of `apis`"
)


def check(loaded: Loaded, target: "DeployTarget | None" = None) -> list[Problem]:
    """Every problem of the document's `apis` and `providers`, beside those that loading it found.

    Where it is to be served is here, unless `target` says so.
    """
    from core.resolution.deployment import (  # not for a cold start, which checks what it makes alone
        here,
        lambda_problems,
    )

    specs, problems = available(loaded.external_providers_dir)
    if (target or here()) == "lambda":
        problems += lambda_problems(loaded, specs)
    problems += _api_problems(loaded)
    for api, path, entry in loaded.provider_entries():
        problems += _entry_problems(loaded, path, entry, api, specs)
    problems += (
        _dependency_problems(loaded, specs) + _ownerless(loaded) + protection_problems(loaded) + limit_problems(loaded)
    )
    problems += _state_problems(loaded) + usage_problems(loaded)
    reported_paths = {problem.path for problem in loaded.problems}
    return [problem for problem in problems if problem.path not in reported_paths]


def notices(loaded: Loaded, target: "DeployTarget" = "laptop") -> list[Problem]:
    """What is served otherwise than it is written, or not at all."""
    from core.resolution import deployment

    return deployment.notices(loaded, available(loaded.external_providers_dir)[0], target)


def files(loaded: Loaded) -> list[Problem]:
    """Every file that the document names and that cannot be used on this machine."""
    from core.resolution.files import file_problems

    specs, _ = available(loaded.external_providers_dir)
    authorities: dict[str, object] = {}
    for api, path, entry in loaded.provider_entries():
        spec = find(specs, api, entry, loaded.places.source_path(path))[0]
        config = None if spec is None else _config_of(loaded, path, entry, spec)
        authorities[f"{path}.config.tls_verify"] = getattr(config, "tls_verify", None)
    return file_problems(loaded, authorities)


def _config_of(loaded: Loaded, path: str, entry: ProviderEntry, spec: ProviderSpec) -> BaseModel | None:
    try:
        return checked_config(loaded, path, entry, spec)[0]
    except ImportError:  # which `check` reports
        return None


def available(directory: str | None) -> tuple[Specs, list[Problem]]:
    """Every provider type: the built-in ones, and those of an external directory, which may have problems."""
    if directory is None:
        return built_in(), []
    from core.resolution.external.spec_files import external_specs  # its validation is not for every cold start

    external, problems = external_specs(directory)
    return built_in() | external, problems


def _api_problems(loaded: Loaded) -> list[Problem]:
    apis: Iterable[object] = loaded.document.get("apis") or ()
    automatic = {"inspect", "providers", *(kind.section for kind in kinds())}
    problems: list[Problem] = []
    for i, api in enumerate(apis):
        place = loaded.places.source_path(f"apis[{i}]")
        if not isinstance(api, str) or api in automatic:
            continue
        if api in configurable_names() and _is_idle(api, loaded):
            problems.append(Problem(place, NO_PROVIDER.format(api)))
    return problems


def _is_idle(api: str, loaded: Loaded) -> bool:
    """Whether no provider will ever serve it. With the Configuration API one may be registered."""
    registering = loaded.document.get("configurations") is not None
    return has_providers(api) and not to_mapping(loaded.document.get("providers")).get(api) and not registering


def _known_types(api: str, specs: Specs) -> list[str]:
    return sorted(provider_type for known_api, provider_type in specs if known_api == api)


def find(specs: Specs, api: str, entry: ProviderEntry, path: str) -> tuple[ProviderSpec | None, list[Problem]]:
    """The type of an entry: that of its `module`, where it has one, or else one of `specs`."""
    if entry.module is None:
        return specs.get((api, entry.provider_type)), []
    from core.resolution.external.boundary import Unusable
    from core.resolution.external.packages import module_spec

    try:
        return module_spec(entry.module, api, entry.provider_type), []
    except Unusable as wrong:
        return None, [Problem(f"{path}.module", reason) for reason in wrong.reasons]


def _entry_problems(loaded: Loaded, path: str, entry: ProviderEntry, api: str, specs: Specs) -> list[Problem]:
    place = loaded.places.source_path(f"{path}.provider_type")
    if api not in configurable_names():
        return []
    spec, problems = find(specs, api, entry, loaded.places.source_path(path))
    if spec is None:
        instead = INSTEAD.get((api, entry.provider_type))
        return problems or [Problem(place, _unknown(entry.provider_type, instead, _known_types(api, specs)))]
    if spec.factory is not None:
        from core.resolution.external.problems import external_problems

        problems = external_problems(loaded, path, entry, spec)
        if problems:
            return problems
    try:
        if spec.factory is None:
            import_module(spec.module)
        return checked_config(loaded, path, entry, spec)[1]
    except ImportError as missing:
        return [Problem(place, f"`{entry.provider_type}` needs a package that is not installed: {missing}")]


def checked_config(
    loaded: Loaded, path: str, entry: ProviderEntry, spec: ProviderSpec
) -> tuple[BaseModel | None, list[Problem]]:
    """The entry's config as its type has it, or what is wrong with it; raises ImportError where a built-in type may."""
    config, problems = _valid_config(loaded, path, entry, spec)
    part = loaded.callers_parts.get((spec.api, entry.provider_id))
    if part is not None:
        places = {problem.path for problem in problems}
        forbidden = problems_of(loaded, part, _model(config, spec), f"{path}.config")
        problems = problems + [problem for problem in forbidden if problem.path not in places]
    if config is None or problems:
        return None, problems
    if isinstance(config, RemoteConfig):
        config = config.placed(reach_of(loaded, part), callers_reach(loaded))
    if isinstance(config, LocalConfig) and (folder := _state_folder(loaded)):
        config = config.beside(folder)
    return config, []


def _state_folder(loaded: Loaded) -> str:
    """That of the documents, each namespace its own; empty where they are in no file."""
    documents = to_mapping(to_mapping(loaded.document.get("state")).get("documents"))
    path, namespace = documents.get("db_path"), documents.get("namespace")
    if not isinstance(path, str):
        return ""
    return str(Path(path).parent / quote(namespace, safe="")) if isinstance(namespace, str) else str(Path(path).parent)


def _model(config: BaseModel | None, spec: ProviderSpec) -> type[BaseModel]:
    """The config's class; nobody's fields where it cannot be had."""
    if config is not None:
        return type(config)
    from core.resolution.external.boundary import Unusable

    try:
        return config_class(spec)
    except Unusable:
        return BaseModel


def _valid_config(
    loaded: Loaded, path: str, entry: ProviderEntry, spec: ProviderSpec
) -> tuple[BaseModel | None, list[Problem]]:
    if spec.factory is None:
        own = config_class(spec)
        defaults = record_of_nothing(own) if not entry.config and issubclass(own, Record) else None
        return (defaults, []) if defaults is not None else loaded.check(own, entry.config, f"{path}.config")
    from core.resolution.external.boundary import Foreign, Unusable
    from core.resolution.external.code import config_class as external_class
    from core.resolution.external.code import malformed_references, secrets_of

    try:
        model = external_class(spec)
        with Foreign(f"{spec.config_class} of `{spec.provider_type}`", secrets_of(entry.config)):
            config, problems = loaded.check(model, entry.config, f"{path}.config")
    except Unusable as wrong:
        place = loaded.places.source_path(f"{path}.config")
        return None, [Problem(place, reason) for reason in wrong.reasons]
    malformed = [] if config is None else list(malformed_references(config))
    problems += [Problem(loaded.places.source_path(f"{path}.config.{name}"), fault) for name, fault in malformed]
    return (None if malformed else config), problems


def _unknown(provider_type: str, instead: str | None, known: list[str]) -> str:
    if instead is not None:
        inline = provider_type.startswith("inline::")
        why = "runs models or indexes in the process itself" if inline else "is not here"
        return f"`{provider_type}` {why}; use {instead}"
    return f"provider type `{provider_type}` is not available here{did_you_mean(provider_type, known) or ';'} known: {', '.join(known)}"


def config_class(spec: ProviderSpec) -> type[BaseModel]:
    """The provider's own Config; importing it is what a cold start pays for.

    Raises:
        ImportError: a package that it needs is not installed.
        Unusable: the one of an external provider cannot be used.
    """
    if spec.factory is not None:
        from core.resolution.external.code import config_class as external_class

        return external_class(spec)
    names = vars(import_module(spec.config_module or spec.module))
    own: type[BaseModel] = names["config_of"](spec.provider_type) if spec.row else names["Config"]
    return own


def needs_of(loaded: Loaded, specs: Specs, *, idle: bool = False) -> dict[str, set[str]]:
    """API -> the APIs that its configured providers need, or where they are `idle`; optional ones only where they are configured."""
    entries = list(loaded.provider_entries())
    configured = {api for api, _, _ in entries}
    needs: dict[str, set[str]] = {api: set() for api in configured}
    for api, path, entry in entries:
        spec = find(specs, api, entry, path)[0]
        if spec is not None and not (idle and spec.surfaces):
            needs[api].update(spec.api_dependencies, configured.intersection(spec.optional_api_dependencies))
    return needs


def _dependency_problems(loaded: Loaded, specs: Specs) -> list[Problem]:
    needs = needs_of(loaded, specs)
    problems = [
        Problem(
            loaded.places.source_path(f"providers.{api}"),
            f"its providers need API `{need}`, for which no provider is configured",
        )
        for api in needs
        for need in sorted(needs[api] - set(needs))
    ]
    try:
        dependency_order(needs, needs)
    except DependencyCycle as cycle:
        problems.append(Problem("providers", str(cycle)))
    return problems


def _state_problems(loaded: Loaded) -> list[Problem]:
    """What is wrong with the stores of state, and the kinds that an API keeps state in without a place for them."""
    from core.config.state import StateConfig

    problems = loaded.check(StateConfig, loaded.document.get("state", {}), "state")[1] if loaded.document else []
    if loaded.config is None or problems:
        return problems
    config = loaded.config
    served = [name for name in config.apis if name in configurable_names()]
    apis = [name for name in served if config.providers.get(name) or not has_providers(name)]
    missing = {
        kind: name for name in apis for kind in manifest(name).stores if STATE[kind].config_in(loaded.config) is None
    }
    return [Problem(f"storage.stores.{kind}", f"API `{api}` needs it: {unset(kind)}") for kind, api in missing.items()]


def usage_problems(loaded: Loaded) -> list[Problem]:
    """What is wrong with the place of usage, with the prices, and with the providers that they name."""
    server = to_mapping(loaded.document.get("server"))
    usage = to_mapping(server.get("usage"))
    if not usage:
        return []
    from core.config.usage import UsageConfig, store_problem

    checked, problems = loaded.check(UsageConfig, usage, "server.usage")
    problem = None if checked is None else store_problem(checked, has_quota=bool(server.get("quota")))
    problems += [] if problem is None else [Problem(loaded.places.source_path(problem[0]), problem[1])]
    inference = {entry.provider_id for api, _, entry in loaded.provider_entries() if api == "inference"}
    for place, row in enumerate(() if checked is None else checked.prices):
        if row.provider_id is not None and row.provider_id not in inference:
            path = loaded.places.source_path(f"server.usage.prices[{place}].provider_id")
            problems.append(
                Problem(
                    path, f"`{row.provider_id}` is no provider of inference{did_you_mean(row.provider_id, inference)}"
                )
            )
    return problems


def _ownerless(loaded: Loaded) -> list[Problem]:
    """Resources that name no provider where there is not exactly one."""
    if loaded.config is None:
        return []
    problems: list[Problem] = []
    for kind in kinds():
        providers = [entry.provider_id for entry in loaded.config.providers.get(kind.api, ())]
        for index, body in enumerate(loaded.config.resources.get(kind.section, ())):
            if body.get("provider_id") is None and len(providers) != 1:
                place = loaded.places.source_path(f"resources.{kind.section}[{index}]")
                choices = ", ".join(providers) or "none"
                problems.append(Problem(place, f"provider_id is missing; {kind.api} providers: {choices}"))
    return problems
