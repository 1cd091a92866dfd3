"""What the reference calls its APIs, its lists of resources and its keys: data for reading a run config.

Source: Llama Stack 0.2.12 and OGX 1.5.0. Which of the APIs this build serves is not decided here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from core.apis.external import Api
from core.apis.index import manifest, names

AUTOMATIC_APIS: Final = (
    "models",
    "shields",
    "vector_dbs",
    "datasets",
    "scoring_functions",
    "benchmarks",
    "tool_groups",
    "vector_stores",
    "inspect",
    "providers",
    "admin",
)

OWN_APIS: Final = tuple(name for name in names() if name not in {*Api, *AUTOMATIC_APIS})
"""APIs of this build that the reference has not."""

WITHOUT_SECTIONS: Final = frozenset({"keys", "usage", "webhooks"})
"""Those of them that have no lists of resources: a cold start reads their manifests for no section."""

ROUTED_APIS: Final[tuple[str, ...]] = (*(str(api) for api in Api if api not in AUTOMATIC_APIS), *OWN_APIS)

RENAMED_APIS: Final = {"memory": "vector_io"}  # the name before 0.1

OLDER_APIS: Final = {"agents": "responses"}
"""APIs of which another has the surfaces here: 0.2 served responses by what serves its agents."""


@dataclass(frozen=True, slots=True)
class Section:
    """A list of pre-registered resources: whose providers serve them, and the key of their identifier.

    One that `becomes` another is read as that one, whose keys for its own are `keys`.
    """

    name: str
    api: str
    id_field: str
    becomes: str = ""
    keys: Mapping[str, str] = field(default_factory=dict[str, str])


STORE_KEYS: Final = {
    "vector_db_id": "vector_store_id",
    "provider_vector_db_id": "provider_vector_store_id",
    "vector_db_name": "vector_store_name",
}

SECTIONS: Final = {
    section.name: section
    for section in (
        Section("models", "inference", "model_id"),
        Section("shields", "safety", "shield_id"),
        Section("vector_dbs", "vector_io", "vector_db_id", becomes="vector_stores", keys=STORE_KEYS),
        Section("datasets", "datasetio", "dataset_id"),
        Section("scoring_fns", "scoring", "scoring_fn_id"),
        Section("benchmarks", "eval", "benchmark_id"),
        Section("tool_groups", "tool_runtime", "toolgroup_id"),
        Section("connectors", "tool_runtime", "connector_id"),
        Section("vector_stores", "vector_io", "vector_store_id"),
        *(
            Section(kind.section, kind.api, kind.id_field)
            for name in OWN_APIS
            if name not in WITHOUT_SECTIONS
            for kind in manifest(name).kinds
        ),
    )
}

UNUSED: Final = {
    "vector_stores.file_batch_params": "`quota`, and how many workers there are, bound the files that are worked on at once",
    "external_apis_dir": "external APIs are not served yet",
    "server.workers": "Lambda, or whoever starts `serve`, decides how many processes there are",
    "server.registry_refresh_interval_seconds": "`registry.cache_seconds` bounds how old a read may be",
    "server.insecure": "a server without `server.auth` is open in any case",
}

REFUSED: Final = {
    "server.tenancy": "tenants are not served; remove it, or run one deployment per tenant",
    "server.tls_config": "use tls_certfile, tls_keyfile and tls_cafile",
    "server.hsts_max_age": "set this header where TLS ends",
    "server.auth.route_policy": "access by route is not supported; use access_policy, whose rules are about actions on resources",
}
