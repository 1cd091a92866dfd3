"""Fifteen functions that serve the APIs of Llama Stack 0.2 and OGX 1.5, to see what template.yaml becomes with all of them."""

from typing import Final

from core.apis.index import manifest, names
from core.frame.api import RouteRow
from infra import template
from infra.template import Function

OPENAI: Final = ("/v1", "/v1/openai/v1")
NEW: Final[dict[str, tuple[str, ...]]] = {  # beside the functions of this checkout
    "files": tuple(f"{prefix}/files{rest}" for prefix in OPENAI for rest in ("", "/{file_id}", "/{file_id}/content")),
    "vector_io": (
        *(
            f"{prefix}/vector_stores{rest}"
            for prefix in OPENAI
            for rest in (
                "",
                "/{vector_store_id}",
                "/{vector_store_id}/search",
                "/{vector_store_id}/files",
                "/{vector_store_id}/files/{file_id}",
                "/{vector_store_id}/files/{file_id}/content",
                "/{vector_store_id}/file_batches",
                "/{vector_store_id}/file_batches/{batch_id}/cancel",
            )
        ),
        "/v1/vector-dbs",
        "/v1/vector-dbs/{vector_db_id:path}",
        "/v1/vector-io/insert",
        "/v1/vector-io/query",
    ),
    "tool_runtime": (
        "/v1/tool-runtime/invoke",
        "/v1/tool-runtime/list-tools",
        "/v1/tool-runtime/rag-tool/insert",
        "/v1/tool-runtime/rag-tool/query",
        "/v1/toolgroups",
        "/v1/toolgroups/{toolgroup_id:path}",
        "/v1/tools",
        "/v1/tools/{tool_name:path}",
        "/v1/admin/tools",
        "/v1alpha/admin/connectors",  # below a path that was admin's alone
        "/v1alpha/admin/connectors/{connector_id}/tools/{tool_name}",
    ),
    "responses": (
        *(f"{prefix}/responses{rest}" for prefix in OPENAI for rest in ("", "/{response_id}", "/{response_id}/cancel")),
        *(f"/v1/conversations{rest}" for rest in ("", "/{conversation_id}", "/{conversation_id}/items/{item_id}")),
        *(f"/v1/prompts{rest}" for rest in ("", "/{prompt_id}", "/{prompt_id}/versions")),
    ),
    "batches": tuple(f"{prefix}/batches{rest}" for prefix in OPENAI for rest in ("", "/{id}", "/{id}/cancel")),
    "datasetio": (
        "/v1/datasets",
        "/v1/datasets/{dataset_id:path}",
        "/v1/datasetio/iterrows/{dataset_id:path}",
        "/v1/datasetio/append-rows/{dataset_id:path}",
    ),
    "scoring": (
        "/v1/scoring/score",
        "/v1/scoring/score-batch",
        "/v1/scoring-functions",
        "/v1/scoring-functions/{scoring_fn_id:path}",
    ),
    "eval": (
        "/v1/eval/benchmarks",
        "/v1/eval/benchmarks/{benchmark_id}",
        "/v1/eval/benchmarks/{benchmark_id}/evaluations",
        "/v1/eval/benchmarks/{benchmark_id}/jobs/{job_id}/result",
    ),
    "post_training": (
        "/v1/post-training/jobs",
        "/v1/post-training/job/status",
        "/v1/post-training/supervised-fine-tune",
    ),
    "synthetic_data_generation": ("/v1/synthetic-data-generation/generate",),
    "telemetry": ("/v1/telemetry/events", "/v1/telemetry/traces/{trace_id}/spans/{span_id}"),
}


def functions() -> list[Function]:
    """At least fifteen, each of those to come with what the greediest of today has: streams, and every right."""
    greedy = manifest("inference").deployment
    new = [
        Function(
            module,
            f"The {module} API.",
            tuple(RouteRow(module, "GET", path, "") for path in paths),
            greedy,
            streams=True,
        )
        for module, paths in NEW.items()
        if module not in names()  # it is served by now: its own manifest counts
    ]
    return [*template.functions(), *new]
