"""Usage: what the stack keeps account of, to be read. It has no providers, and changes nothing."""

from typing import Final

from core.frame.api import Api, Deployment, Surface
from core.frame.operations import Operation, openai_paths

AUDIT: Final = (
    Operation(
        "GET",
        ("/v1/audit",),
        "index",
        "List what administrators have changed.",
        query="core.apis.audit:AuditQuery",
        response="core.apis.answers.audit:AuditPage",
    ),
)
SPENDING: Final = (
    Operation(
        "GET",
        ("/v1/usage",),
        "show",
        "Sum up usage and costs, by caller, model, day and more.",
        query="core.apis.spending:SpendingQuery",
        response="core.apis.answers.spending:UsagePage",
        text="text/csv",
    ),
)


def _of_organization(name: str, summary: str) -> Operation:
    return Operation(
        "GET",
        openai_paths(f"/organization/usage/{name}"),
        name,
        summary,
        query="core.apis.organization:OrganizationUsageQuery",
        response="core.apis.answers.organization:UsageBuckets",
    )


ORGANIZATION: Final = (
    _of_organization("completions", "Sum up by day what chats and completions used."),
    _of_organization("embeddings", "Sum up by day what embeddings used."),
    _of_organization("moderations", "Sum up by day what moderations used."),
    _of_organization("images", "For OpenAI's clients: images are not counted."),
    _of_organization("audio_speeches", "For OpenAI's clients: speech is not counted."),
    _of_organization("audio_transcriptions", "For OpenAI's clients: transcriptions are not counted."),
    _of_organization("vector_stores", "For OpenAI's clients: the bytes of vector stores are not counted."),
    _of_organization("code_interpreter_sessions", "For OpenAI's clients: such sessions are not counted."),
    _of_organization("decisions", "For OpenAI's clients: decisions are not counted."),
    _of_organization("file_search_calls", "For OpenAI's clients: searches in files are not counted."),
    _of_organization("web_search_calls", "For OpenAI's clients: searches in the web are not counted."),
    Operation(
        "GET",
        openai_paths("/organization/costs"),
        "costs",
        "Sum up costs by day.",
        query="core.apis.organization:OrganizationCostsQuery",
        response="core.apis.answers.organization:CostBuckets",
    ),
)

API: Final = Api(
    "usage",
    surfaces=(
        Surface("audit", "core.apis.audit:Audit", AUDIT),
        Surface("spending", "core.apis.spending:Spending", SPENDING),
        Surface("organization", "core.apis.organization:Organization", ORGANIZATION),
    ),
    assemble="core.services.usage.assemble:assemble",
    deployment=Deployment(memory_mb=1769, rights=("ReadAudit", "ReadKeys", "ReadUsage")),
)
