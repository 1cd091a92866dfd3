"""The names of Llama Stack and OGX that a package for them imports, where they are not installed themselves.

What is installed is found first: the finder is the last one on the path. Nothing is made before it is asked for.
"""

from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
import re
import sys
from types import ModuleType
from typing import Any, Final, override

TOPS: Final = frozenset({"llama_stack", "llama_stack_api", "ogx", "ogx_api"})
DISTRIBUTIONS: Final = frozenset(name.replace("_", "-") for name in TOPS)
"""That a spec may name among its `pip_packages`, and need not be installed."""

PARTS: Final = frozenset(
    [
        "access_control",
        "agents",
        "api",
        "authorized_sqlstore",
        "apis",
        "batches",
        "benchmarks",
        "common",
        "config",
        "connectors",
        "content_types",
        "conversations",
        "core",
        "datasetio",
        "datasets",
        "datatypes",
        "distribution",
        "embedding_mixin",
        "errors",
        "eval",
        "file_processors",
        "files",
        "filters",
        "form_data",
        "http_client",
        "id_generation",
        "inference",
        "inline",
        "inspect",
        "interactions",
        "internal",
        "job_types",
        "kvstore",
        "litellm_openai_mixin",
        "llama",
        "log",
        "memory",
        "messages",
        "model_registry",
        "models",
        "openai_compat",
        "openai_mixin",
        "openai_responses",
        "openai_vector_store_mixin",
        "post_training",
        "prompt_adapter",
        "prompts",
        "providers",
        "rag_tool",
        "registry",
        "remote",
        "request_headers",
        "resource",
        "responses",
        "routes",
        "safety",
        "sanitize",
        "schema_utils",
        "scoring",
        "scoring_functions",
        "server",
        "shields",
        "sku_types",
        "sqlite",
        "sqlstore",
        "storage",
        "strong_typing",
        "telemetry",
        "tools",
        "training_types",
        "type_system",
        "utils",
        "validators",
        "vector_dbs",
        "vector_io",
        "vector_store",
        "vector_stores",
        "vector_utils",
        "version",
    ]
)
"""What modules of the two are called, below the top: what is not one of them is a name to import."""


class ReferenceFinder(MetaPathFinder, Loader):
    """Finds and is the loader of each module; any of them has all names, since packages of all versions import them."""

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top, *parts = fullname.split(".")
        if top not in TOPS or not PARTS.issuperset(parts) or (parts and not stands_in(top)):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    @override
    def exec_module(self, module: ModuleType) -> None:
        def get(name: str) -> Any:  # noqa: ANN401 - whatever the reference has of that name
            from core.resolution.external.reference import names

            return names.find(name)

        vars(module)["__getattr__"] = get


FINDER: Final = ReferenceFinder()


def install() -> None:
    """From now on: a package imports some of them when its provider is made, or called."""
    if FINDER not in sys.meta_path:
        sys.meta_path.append(FINDER)


def stands_in(top: str) -> bool:
    """Whether a module of this name is the finder's, and not an installed one."""
    spec = getattr(sys.modules.get(top), "__spec__", None)
    return spec is not None and spec.loader is FINDER


def is_asked_for() -> bool:
    """Whether some package has imported the reference, installed or not."""
    return not TOPS.isdisjoint(sys.modules)


def unmet_need(error: BaseException | None) -> str | None:
    """What to say of an import that only the reference itself could serve, None for any other error."""
    if not isinstance(error, ImportError) or error.name is None:
        return None
    top = error.name.partition(".")[0]
    if top not in TOPS:
        return None
    name = getattr(error, "name_from", None)
    needed = f"{error.name}.{name}" if name else error.name
    project = "OGX" if top.startswith("ogx") else "Llama Stack"
    return (
        f"this package is for {project}: it needs `{needed}`, which llambda does not have; "
        f"use a version of it without that, or pip install {re.sub('_', '-', top)}"
    )
