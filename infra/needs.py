"""The modules of core that a function can load under a run config, and the libraries that these import.

They follow from the imports in the code, late ones too; what core loads by name (providers, stores, kinds of auth)
comes from the tables that it is loaded by.
"""

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
import json
from pathlib import Path
import re
import sys
from typing import Any, Final, override

from core.apis.index import manifest, names
from core.auth.types import TYPES
from core.config.load import Loaded, interpret
from core.config.problems import Problem
from core.config.sections import SECTIONS
from core.frame.api import WORKER
from core.resolution.check import available, find, needs_of
from core.resolution.order import DependencyCycle, dependency_order
from core.resolution.provider_types import ProviderSpec, Specs, built_in
from core.stores.connect import (
    ANSWERS,
    BLOBS,
    CONFIGURATIONS,
    COUNTERS,
    JOBS,
    NEEDS,
    QUEUE,
    REGISTRY,
    SEMAPHORES,
    STATE,
    StoreKind,
)
from infra.conditions import CONDITIONS, UNKNOWN, Document, limits_streams, part_of

ROOT: Final = Path(__file__).resolve().parents[1]
ROOMS: Final = ("core", "functions")
ALWAYS: Final = ("core.runtime.stream",)  # which Lambda starts, and not the function
NOT_PACKAGED: Final = frozenset(
    {"yaml", "snapshot_restore_py", "langdetect"}
)  # the run config is JSON by then, Lambda has the second, and the third has no wheel
DOTTED: Final = re.compile(r"(core(?:\.\w+)+):\w+")
MODULE: Final = re.compile(r"(core(?:\.\w+)+)(?::\w+)?")
"""As a manifest has it once for many types, which it names `{TYPES}:NAME`."""
MANIFESTS: Final = "core.apis.manifests."

MIXIN: Final = "core.resolution.external.reference.mixin"  # which brings an HTTP client with it
UPLOADS: Final = ("core.web.uploads", "core.web.multipart")
PDFS: Final = ("core.services.vector_stores.ingest.pdf",)  # with the largest of all libraries, for whoever reads files
ENGINES: Final = ("core.providers.bedrock.batches", "core.providers.openai.batches", "core.providers.http.transfers")
"""Of batches at a provider's own side, which jobs alone have."""
PARQUET: Final = (
    "core.platform.parquet",
    "core.platform.parquet_reader",
    "core.services.datasets.formats.parquet",
)
"""With 12 MB of a library, for imports, which are jobs."""
CALLED: Final = {
    "core.providers.braintrust.scoring": ("core.providers.braintrust.evaluation",),
    "core.providers.datasets.localfs": ("core.providers.datasets.inlined", "core.providers.http.sources"),
    "core.providers.llm_judge.scoring": ("core.providers.llm_judge.judge",),
    "core.providers.mcp.tool_runtime": ("core.providers.mcp.servers",),
    "core.providers.scoring_basic.basic": (
        "core.providers.scoring_basic.bfcl",
        "core.providers.scoring_basic.choices",
        "core.providers.scoring_basic.docvqa",
        "core.providers.scoring_basic.ifeval",
        "core.providers.scoring_basic.matches",
        "core.providers.scoring_basic.math_answers",
    ),
    "core.providers.web_search.tool_runtime": ("core.providers.web_search.client",),
    "core.services.inference.assemble": (
        "core.services.inference.chats.collection",
        "core.services.inference.chats.keeping",
        "core.services.inference.native",
        "core.services.inference.native_batches",
        "core.services.inference.native_responses",
        "core.services.inference.reranking",
    ),
}
"""Providers and services, and what each imports when it is called and not when it is looked at, as an overview looks."""
READERS: Final = frozenset({"store_files", "rag_tool"})
"""Surfaces that take documents in: a search alone, as of a response, reads none."""
RAG: Final = ("core.services.retrieval.rag_tool",)  # over vector stores, where the function has them
# Of the command alone: no function has the rights.
ERASURE: Final = tuple(eraser.pieces.partition(":")[0] for name in names() if (eraser := manifest(name).eraser))
STORES: Final[tuple[StoreKind[Any], ...]] = (REGISTRY, COUNTERS, ANSWERS)


@dataclass(frozen=True, slots=True)
class Needs:
    """`libraries` are the top-level names that `modules` import from outside; `everything`: it cannot be known which.

    `external` are the external provider types, each with the `module` of its entry.
    """

    modules: frozenset[str]
    libraries: frozenset[str]
    everything: bool = False
    external: frozenset[tuple[ProviderSpec, str | None]] = frozenset()


class _EveryVariable(dict[str, str]):
    """An environment in which every variable is set, so that nothing is switched off."""

    @override
    def get(self, key: str, default: object = None) -> str:
        return UNKNOWN

    @override
    def __contains__(self, key: object) -> bool:
        return True


def needs(function: str, run_config: str, also: Collection[str] = ()) -> Needs:
    """What `function`, a module of functions/, can load under `run_config`, whatever the environment is then.

    `also` are names that external providers import; those of core are followed, and of Llama Stack's what brings more with it.
    """
    loaded = interpret(json.loads(run_config), _EveryVariable())
    document = loaded.document
    specs, problems = _available(document)
    surfaced = _surfaced(function, loaded, specs)
    skipped = tuple(prefix for prefix, condition in CONDITIONS.items() if not condition(document))
    skipped += () if function != WORKER and manifest(function).takes_uploads else UPLOADS
    skipped += () if function == WORKER or _reads_documents(function, surfaced) else PDFS
    skipped += _engines_apart(function)
    skipped += () if "vector_io" in surfaced else RAG
    skipped += tuple(chain.from_iterable(CALLED.values())) if _overviews(function) else ()
    skipped += tuple(_service_room(name) for name in _manifests(function, loaded, specs) - surfaced)
    skipped += ERASURE
    skipped += () if any(name.endswith(".OpenAIMixin") for name in also) else (MIXIN,)
    manifests = {f"core.apis.manifests.{name}" for name in _manifests(function, loaded, specs)}
    roots = {
        f"functions.{function}",
        *ALWAYS,
        *manifests,
        *_load_by_name(function, loaded, specs),
        *filter(_is_ours, also),
    }
    modules = _follow_imports(roots, skipped)
    libraries = frozenset(name for module in modules for name in _imports(module) if not _is_ours(name))
    outside = frozenset(name.partition(".")[0] for name in libraries) - sys.stdlib_module_names - NOT_PACKAGED
    return Needs(modules, outside, bool(problems), frozenset(_external(function, loaded, specs)))


def provider_types(function: str, run_config: str, libraries: frozenset[str]) -> list[str]:
    """`api/type` of every provider type whose libraries are among `libraries`: what a later run config may name too."""
    loaded = interpret(json.loads(run_config), _EveryVariable())
    apis = _provider_apis(function, loaded, built_in())
    types: list[str] = []
    for (api, name), spec in built_in().items():
        modules = _follow_imports({spec.module}, (*CONDITIONS, *_engines_apart(function)))
        imports = {imported for module in modules for imported in _imports(module)}
        outside = {imported.partition(".")[0] for imported in imports if not _is_ours(imported)}
        if api in apis and outside - sys.stdlib_module_names <= libraries:
            types.append(f"{api}/{name}")
    return sorted(types)


def _available(document: Document) -> tuple[Specs, list[Problem]]:
    directory = document.get("external_providers_dir")
    return available(directory if isinstance(directory, str) else None)


def _external(function: str, loaded: Loaded, specs: Specs) -> Iterator[tuple[ProviderSpec, str | None]]:
    """Those that the function has; where a variable chooses the type, all that it may be."""
    apis = _provider_apis(function, loaded, specs)
    for api, path, entry in loaded.provider_entries():
        if api not in apis:
            continue
        spec = find(specs, api, entry, path)[0]
        candidates = [other for (of, _), other in specs.items() if of == api] if spec is None else [spec]
        yield from ((candidate, entry.module) for candidate in candidates if candidate.factory is not None)


def _load_by_name(function: str, loaded: Loaded, specs: Specs) -> set[str]:
    """The modules that core loads by a name in the run config; where a variable chooses it, all that it may choose."""
    document = loaded.document
    apis = [manifest(name) for name in _surfaced(function, loaded, specs)]
    state = {name for api in apis for name in api.stores}
    # An overview does nothing with the stores of others that they could do without.
    state |= {name for api in apis if not _overviews(function) or api.name == function for name in api.optional_stores}
    state |= {JOBS.name, QUEUE.name, BLOBS.name} if function == WORKER else set[str]()
    state |= {other for name in state for other in NEEDS.get(name, ())}
    kinds = [
        *STORES,
        *([SEMAPHORES] if limits_streams(document) else []),
        *([CONFIGURATIONS] if "configurations" in document else []),
        *(STATE[name] for name in state),
    ]
    places = [(kind.adapters, path) for kind in kinds for path in (kind.path, kind.fallback) if path]
    stores = [(adapters, part_of(document, *path)) for adapters, path in places]
    modules = {
        module for table, store in stores if isinstance(store, Mapping) for module in _choose(table, store.get("type"))
    }
    for entry in part_of(document, "server", "auth", "providers") or ():
        modules |= _choose(TYPES, part_of(entry, "type"))
    for api in _provider_apis(function, loaded, specs):
        table = {name: spec.module for (of, name), spec in specs.items() if of == api}
        types = [entry.provider_type for of, _, entry in loaded.provider_entries() if of == api and not entry.module]
        modules |= {module for name in types for module in _choose(table, name)}
    return modules


def _choose(table: Mapping[str, str], name: object) -> set[str]:
    return {table[name]} if isinstance(name, str) and name in table else set(table.values())


def _provider_apis(function: str, loaded: Loaded, specs: Specs) -> set[str]:
    """The APIs whose providers the function has: its own, those that it needs or depends on; an overview has all."""
    configured = {api for api, _, _ in loaded.provider_entries()}
    if function == WORKER or _overviews(function):
        return configured & set(names())
    api = manifest(function)
    try:
        return set(dependency_order({function, *configured.intersection(api.depends)}, needs_of(loaded, specs)))
    except DependencyCycle:  # the function itself stops at it, with a better message
        return configured


def _manifests(function: str, loaded: Loaded, specs: Specs) -> set[str]:
    """The APIs whose manifests are read: those that the function makes, and those whose resources the run config has."""
    sections = part_of(loaded.document, "resources") or {}
    makes_all = function == WORKER or _overviews(function)
    roots = {function, *(part_of(loaded.document, "apis") or () if makes_all else ())}
    apis = roots | _provider_apis(function, loaded, specs) | {SECTIONS[name].api for name in sections}
    return apis & set(names())


def _surfaced(function: str, loaded: Loaded, specs: Specs) -> set[str]:
    """The APIs whose services the function has: an overview, those that a provider may depend on, registered later or not."""
    apis = _manifests(function, loaded, specs)
    if function == WORKER:
        return apis
    if not _overviews(function):
        return apis & {function, *_provider_apis(function, loaded, specs)}
    return apis & {
        function,
        *(name for spec in specs.values() for name in spec.idle_dependencies),
    }


def _overviews(function: str) -> bool:
    return function != WORKER and manifest(function).overview


def _reads_documents(function: str, surfaced: set[str]) -> bool:
    """Whether it takes text from files, or from what a caller's URL names."""
    return "vector_io" in surfaced and any(surface.name in READERS for surface in manifest(function).surfaces)


def _engines_apart(function: str) -> tuple[str, ...]:
    return () if function == WORKER else (*ENGINES, *PARQUET)


def _service_room(api: str) -> str:
    """Where its services are, which begin with what assembles them."""
    return manifest(api).assemble.partition(":")[0].rpartition(".")[0]


def only_called() -> frozenset[str]:
    """The modules of CALLED's providers that nothing but a call imports."""
    rooms = {name.rpartition(".")[0] for name in CALLED}
    reached = _follow_imports(CALLED, ()) - _follow_imports(CALLED, tuple(chain.from_iterable(CALLED.values())))
    return frozenset(name for name in reached if name.rpartition(".")[0] in rooms)


def _follow_imports(roots: Iterable[str], skipped: tuple[str, ...]) -> frozenset[str]:
    modules: set[str] = set()
    waiting = [name for name in roots if _path(name) is not None]
    while waiting:
        name = waiting.pop()
        if name not in modules:
            modules.add(name)
            waiting += [other for other in _imports(name) if _is_ours(other) and not _is_in(other, skipped)]
    return frozenset(modules)


def _is_in(name: str, prefixes: Iterable[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in ROOMS


@cache
def _imports(module: str) -> frozenset[str]:
    """The full names of the modules that it imports, but under TYPE_CHECKING, or names as `module:attribute`, and what is imported by its name."""
    imports: set[str] = set()
    form = MODULE if module.startswith(MANIFESTS) else DOTTED
    for node in _run_time_nodes(_tree(module)):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            imports |= {node.module, *(name for name in inner if _is_ours(name) and _path(name) is not None)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (dotted := form.fullmatch(node.value)):
            imports.add(dotted[1])
        elif isinstance(node, ast.Call) and _name_of(node.func) == "import_module":
            imports |= {one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return frozenset(name for name in imports if not _is_ours(name) or _path(name) is not None)


def _name_of(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else ""


def _run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    waiting = [node]
    while waiting:
        for child in ast.iter_child_nodes(waiting.pop()):
            if not (
                isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING"
            ):
                yield child
                waiting.append(child)


@cache
def _tree(module: str) -> ast.Module:
    path = _path(module)
    return ast.parse("" if path is None else path.read_text(encoding="utf-8"))


@cache
def _path(module: str) -> Path | None:
    place = ROOT / module.replace(".", "/")
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)
