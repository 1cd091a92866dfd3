"""What a run config says that is otherwise where it is served: notices of what serves it, and what Lambda cannot.

On Lambda no two functions share a disk, and nothing on it outlives them.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from core.apis.index import configurable_names, manifest, names
from core.config.load import Loaded
from core.config.places import take, to_list, to_mapping
from core.config.problems import Problem
from core.config.sections import SECTIONS
from core.config.storage import IN_PROVIDERS
from core.platform.environment import environ
from core.platform.hosts import is_loopback
from core.resolution.provider_types import Specs
from core.stores.connect import KINDS, STATE

type DeployTarget = Literal["laptop", "lambda"]

NOT_HERE: Final = "API `{}` is not in this build, which serves: {}"
NO_DISK: Final = "`{}` keeps a file on one machine, which no two functions share; use {}"
IN_BLOBS: Final = "has no effect on Lambda: files go to the blob store of the stack (`storage.stores.blobs`)"
NO_FOLDER: Final = "has no effect on Lambda, where there is no folder for `lsfs:`: register a dataset of an uploaded file's id, or of an s3 uri"
IN_STATE: Final = "has no effect on Lambda: records are documents of the stack (`storage.stores.documents`)"
DATABASE: Final = "{{type: dynamodb, table: ${{env.{}}}}}"
IN_DEPLOYMENT: Final = {  # by kind of store: how it is written for a deployment, whose template sets the variable
    "registry": DATABASE.format("REGISTRY_TABLE"),
    "counters": DATABASE.format("QUOTA_TABLE"),
    "answers": DATABASE.format("STATE_TABLE"),
    "documents": "a backend {type: kv_dynamodb, table: ${env.STATE_TABLE}}",
    "blobs": "a backend {type: blob_s3, bucket: ${env.BLOB_BUCKET}}",
    "jobs": "a backend {type: kv_dynamodb, table: ${env.STATE_TABLE}}",
    "queue": "a backend {type: queue_sqs, url: ${env.JOBS_QUEUE_URL}}",
}
COLLECTIONS_OF: Final = {
    "inference": "inference",
    "responses": "responses",
    "prompts": "responses",
    "vector_stores": "vector_io",
}
"""Which API keeps what in a place for documents of that name."""
NOT_SHARED: Final = {
    "sqlite": "is SQLite, a file that no two functions share; write {}",
    "local": "is a folder, which no two functions share; write {}",
}


WITHOUT_JOBS: Final = (
    "has no effect: no worker can go on with a response without `jobs` and `queue` in `storage.stores`"
)
OF_STACK: Final = "has no effect: `vector_stores` of the run config holds for responses too"
WITHOUT_EFFECT: Final = {  # of a provider of an API, where it would change what is served
    "responses": {
        "memory_config": "has no effect: there is no memory beside conversations",
        "moderation_endpoint": "has no effect: shields judge, those of a model or of `safety`, and those that a request names as `guardrails`",
        "vector_stores_config": OF_STACK,
    },
    "batches": {
        "max_concurrent_batches": "has no effect: as many batches run at once as there is room for in the workers; `server.quota.max_batches` is how many a caller may have under way"
    },
    "scoring": {
        "openai_api_key": "has no effect: judges are models of this stack, asked with the keys of their providers; `judge_model` and `embedding_model` name them"
    },
}

WITH_RESPONSES: Final = (
    "has no effect: conversations are kept with responses, at `storage.stores.responses`, or where documents are, since a turn of both is one "
    "transaction"
)
PGVECTOR: Final = ("vector_io", "remote::pgvector")
ON_ITSELF: Final = (
    "is the function itself on Lambda: name another host, or `resource_arn` and `secret_arn` for the RDS Data API"
)
CONNECTED: Final = (
    "is reached by connections, a pool of them for each environment of a function, and mostly in a VPC (`VpcSubnetIds`); the RDS "
    "Data API needs neither: `resource_arn` and `secret_arn`"
)


def here() -> DeployTarget:
    """Where this process runs."""
    return "lambda" if environ().get("AWS_LAMBDA_FUNCTION_NAME") else "laptop"


def lambda_problems(loaded: Loaded, specs: Specs) -> Iterator[Problem]:
    """What cannot be on Lambda: providers that keep files of their own."""
    for api, path, entry in loaded.provider_entries():
        spec = specs.get((api, entry.provider_type))
        if entry.module is None and spec is not None and spec.on_lambda:
            place = loaded.places.source_path(f"{path}.provider_type")
            yield Problem(place, NO_DISK.format(entry.provider_type, spec.on_lambda))
    for path, host in _databases(loaded):
        if is_loopback(host) or host.startswith("/"):
            yield Problem(path, f"`{host}` {ON_ITSELF}")


def _databases(loaded: Loaded) -> Iterator[tuple[str, str]]:
    """Where hosts of PostgreSQL are named that are reached by connections, or should be, and the hosts."""
    for api, path, entry in loaded.provider_entries():
        if (api, entry.provider_type) == PGVECTOR and entry.module is None and not entry.config.get("resource_arn"):
            yield loaded.places.source_path(f"{path}.config.host"), str(entry.config.get("host") or "localhost")


def unshared_stores(loaded: Loaded) -> Iterator[Problem]:
    """The stores that are used and are on one machine; those of state are used by the APIs whose manifests name them."""
    apis, providers = to_list(loaded.document.get("apis")), to_mapping(loaded.document.get("providers"))
    served = [api for api in names() if api in apis and (providers.get(api) or manifest(api).provider is None)]
    used = {store for api in served for store in (*manifest(api).stores, *manifest(api).optional_stores)}
    for kind in KINDS:
        if kind.name not in IN_DEPLOYMENT or (kind.name in STATE and kind.name not in used):
            continue
        for path in filter(None, (kind.path, kind.fallback)):
            place = f"storage.stores.{kind.name}" if kind.name in STATE else ".".join(path)
            message = NOT_SHARED.get(str(take(loaded.document, f"{'.'.join(path)}.type")[0]))
            if message is not None:
                yield Problem(place, message.format(IN_DEPLOYMENT[kind.name]))
    for name, api in COLLECTIONS_OF.items():
        message = NOT_SHARED.get(str(take(loaded.document, f"state.collections.{name}.type")[0]))
        if message is not None and api in served:
            yield Problem(f"storage.stores.{name}", message.format(IN_DEPLOYMENT["documents"]))


def notices(loaded: Loaded, specs: Specs, target: DeployTarget = "laptop") -> list[Problem]:
    """What is served otherwise than it is written, or not at all, though nothing is wrong with it."""
    found = [*_left_out(loaded), *_stand_ins(loaded, specs, target), *_kept_together(loaded)]
    return found if target == "laptop" else [*found, *_elsewhere_on_lambda(loaded, specs)]


def _left_out(loaded: Loaded) -> Iterator[Problem]:
    """APIs of the reference that this build has not, and the lists of their resources."""
    served, apis = configurable_names(), to_list(loaded.document.get("apis"))
    automatic = {"inspect", "providers", *SECTIONS}
    missing = {api: f"apis[{i}]" for i, api in enumerate(apis) if isinstance(api, str)}
    missing |= {api: f"providers.{api}" for api in to_mapping(loaded.document.get("providers")) if api not in missing}
    for api, path in missing.items():
        if api not in served and api not in automatic:
            yield Problem(loaded.places.source_path(path), NOT_HERE.format(api, ", ".join(served)))
    for name, entries in to_mapping(loaded.document.get("resources")).items():
        if to_list(entries) and SECTIONS[name].api not in served:
            place = loaded.places.source_path(f"resources.{name}")
            yield Problem(place, f"API `{SECTIONS[name].api}` is not in this build")


def _stand_ins(loaded: Loaded, specs: Specs, target: DeployTarget) -> Iterator[Problem]:
    for api, path, entry in loaded.provider_entries():
        spec = specs.get((api, entry.provider_type))
        if entry.module is None and spec is not None and spec.notice and not (spec.on_lambda and target == "lambda"):
            place = loaded.places.source_path(f"{path}.provider_type")
            yield Problem(place, f"`{entry.provider_type}` {spec.notice}")
        if entry.module is None and spec is not None and spec.factory is None:
            for key, message in WITHOUT_EFFECT.get(api, {}).items():
                value = entry.config.get(key)
                if value and (key != "memory_config" or to_mapping(value).get("enabled")):
                    yield Problem(loaded.places.source_path(f"{path}.config.{key}"), message)
            if api == "responses" and entry.config.get("background") and not _has_jobs(loaded):
                yield Problem(loaded.places.source_path(f"{path}.config.background"), WITHOUT_JOBS)


def _has_jobs(loaded: Loaded) -> bool:
    return loaded.config is None or all(STATE[kind].config_in(loaded.config) is not None for kind in ("jobs", "queue"))


def _kept_together(loaded: Loaded) -> Iterator[Problem]:
    """Conversations have no place of their own, whatever the run config says."""
    collections = to_mapping(take(loaded.document, "state.collections")[0])
    place = collections.get("conversations")
    if (
        place is not None
        and place != collections.get("responses")
        and "responses" in to_list(loaded.document.get("apis"))
    ):
        yield Problem(loaded.places.source_path("state.collections.conversations"), WITH_RESPONSES)


def _elsewhere_on_lambda(loaded: Loaded, specs: Specs) -> Iterator[Problem]:
    """What of built-in providers' configs is about a disk, and what is in its place."""
    for api, path, entry in loaded.provider_entries():
        spec = specs.get((api, entry.provider_type))
        if entry.module is not None or spec is None or spec.factory is not None or spec.on_lambda:
            continue
        folder = NO_FOLDER if api == "datasetio" else IN_BLOBS
        for key, message in (("storage_dir", folder), *((key, IN_STATE) for key in IN_PROVIDERS)):
            if entry.config.get(key) is not None:
                yield Problem(loaded.places.source_path(f"{path}.config.{key}"), message)
    for path, _ in _databases(loaded):
        yield Problem(path, CONNECTED)


def without_disk(document: Mapping[str, Any], specs: Specs) -> dict[str, Any]:
    """A run config, as it is written, for functions: files without a folder are those of the blob store."""
    providers = to_mapping(document.get("providers"))
    changed = {
        api: [_without_folder(to_mapping(entry), specs, api) for entry in to_list(entries)]
        for api, entries in providers.items()
        if to_list(entries) and all(isinstance(entry, Mapping) for entry in to_list(entries))
    }
    return {**document, **({"providers": {**providers, **changed}} if changed else {})}


def _without_folder(entry: Mapping[str, Any], specs: Specs, api: str) -> Mapping[str, Any]:
    config, spec = to_mapping(entry.get("config")), specs.get((api, str(entry.get("provider_type"))))
    if spec is None or spec.factory is not None or "storage_dir" not in config or entry.get("module") is not None:
        return entry
    return {**entry, "config": {key: value for key, value in config.items() if key != "storage_dir"}}
