"""The enum of API names, for authors of external providers (docs/providers.md)."""

from enum import StrEnum

Api = StrEnum(
    "Api",
    [
        "inference",
        "safety",
        "agents",
        "vector_io",
        "datasetio",
        "scoring",
        "eval",
        "post_training",
        "tool_runtime",
        "telemetry",
        "files",
        "batches",
        "responses",
        "container_runtime",
        "file_processors",
        "messages",
        "interactions",
        "skills",
        "models",
        "shields",
        "vector_dbs",
        "vector_stores",
        "datasets",
        "scoring_functions",
        "benchmarks",
        "tool_groups",
        "prompts",
        "conversations",
        "connectors",
        "providers",
        "inspect",
        "admin",
    ],
)
"""The names of APIs, served here or not: `deps[Api.inference]` is `deps["inference"]`."""
