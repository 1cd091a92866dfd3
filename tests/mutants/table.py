"""The modules where a line that no test catches would matter most, each with the tests that should: the quickest first."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Row:
    """`only`: the tests of these files whose names have it, by pytest's `-k`."""

    module: str
    tests: tuple[str, ...]
    only: str = ""

    @property
    def arguments(self) -> tuple[str, ...]:
        return (*self.tests, "-k", self.only) if self.only else self.tests


WEBHOOKS: Final = ("tests/contract/test_webhook_deliveries.py", "tests/contract/test_webhooks.py")
PROVIDERS: Final = "tests/contract/test_vector_providers.py"
VECTORS: Final = ("tests/contract/test_vectors_sqlite.py", PROVIDERS)
CHROMA: Final = ("tests/contract/test_chroma.py", PROVIDERS)
QDRANT: Final = ("tests/contract/test_qdrant.py", PROVIDERS)
S3_VECTORS: Final = (
    "tests/unit/providers/test_s3_vectors_wire.py",
    "tests/contract/test_s3_vectors.py",
    PROVIDERS,
)
COPIES: Final = ("tests/contract/test_vector_copy_rows.py", "tests/contract/test_vector_copies.py")
PGVECTOR: Final = ("tests/contract/test_pgvector.py", PROVIDERS)
STORES: Final = (
    "tests/contract/test_vector_stores.py",
    "tests/contract/test_vector_search.py",
    "tests/contract/test_vector_chunks.py",
    "tests/contract/test_vector_reranking.py",
)
RETRIEVAL: Final = ("tests/contract/test_rag_tool.py", "tests/contract/test_retrieval.py")
STORE_FILES: Final = ("tests/contract/test_store_files.py", "tests/contract/test_store_files_refused.py")
FILES: Final = (
    "tests/contract/test_files.py",
    "tests/contract/test_file_uploads.py",
    "tests/contract/test_file_assembly.py",
)
WEB_SEARCH: Final = ("tests/unit/providers/test_web_search.py", "tests/contract/test_web_search.py")
TOOLS: Final = (
    "tests/unit/services/test_tool_listings.py",
    "tests/contract/test_tool_runtime.py",
    "tests/attack/test_tools.py",
    "tests/attack/test_tools_charged.py",
)
MCP: Final = (
    "tests/unit/providers/test_mcp_wire.py",
    "tests/contract/test_mcp.py",
    "tests/contract/test_mcp_eras.py",
    "tests/contract/test_mcp_credentials.py",
    "tests/contract/test_mcp_stack.py",
    "tests/attack/test_mcp_destinations.py",
    "tests/attack/test_mcp_answers.py",
)
MCP_SERVER: Final = ("tests/unit/services/mcp", "tests/contract/test_mcp_server.py")
RUNS: Final = (
    "tests/unit/services/responses",
    "tests/contract/test_responses_scripts.py",
    "tests/contract/test_responses_faults.py",
)
RESPONSES: Final = (
    "tests/unit/services/responses/test_router.py",
    "tests/unit/services/responses/test_printing.py",
    "tests/contract/test_responses_input.py",
    "tests/contract/test_responses_kept.py",
    "tests/contract/test_responses_faults.py",
)
THREADS: Final = (
    "tests/unit/services/responses/test_state_records.py",
    "tests/contract/test_response_state.py",
    "tests/contract/test_conversation_state.py",
    "tests/contract/test_conversations.py",
)
RUN_TOOLS: Final = (
    "tests/unit/services/responses/test_tool_shapes.py",
    "tests/contract/test_response_tools_mcp.py",
    "tests/contract/test_response_tools_searches.py",
    "tests/attack/test_response_tools.py",
)
SEALED: Final = (
    "tests/unit/services/responses/test_sealing.py",
    "tests/contract/test_compaction.py",
    "tests/contract/test_state_key.py",
)
LOGS: Final = (
    "tests/unit/services/responses/test_recording.py",
    "tests/contract/test_run_log.py",
    "tests/contract/test_runs_deleted.py",
    "tests/contract/test_runs_taken.py",
    "tests/contract/test_runs_refused.py",
)
WORKERS: Final = (
    "tests/contract/test_background_clocks.py",
    "tests/contract/test_responses_lost_jobs.py",
    "tests/contract/test_responses_background.py",
)
EVALS: Final = ("tests/contract/test_evals.py",)
AGENTS: Final = (
    "tests/unit/services/agents",
    "tests/contract/test_agent_state.py",
    "tests/contract/test_agents.py",
    "tests/contract/test_agent_turns.py",
    "tests/contract/test_turns_refused.py",
)
EXTRACT: Final = (
    "tests/unit/services/vector_stores/test_extract.py",
    "tests/unit/services/vector_stores/test_chunks.py",
    "tests/contract/test_store_files_refused.py",
)
TABLE: Final = (
    Row("core.routing.policy", ("tests/unit/routing/test_policy.py", "tests/unit/routing/test_guard.py")),
    Row("core.routing.guard", ("tests/unit/routing/test_guard.py", "tests/contract/test_protected_stack.py")),
    Row("core.routing.registry", ("tests/unit/routing", "tests/attack/test_names.py")),
    Row("core.routing.shields", ("tests/unit/routing/test_shields.py", "tests/attack/test_names.py")),
    Row(
        "core.routing.failover",
        (
            "tests/unit/services/test_inference_router.py",
            "tests/contract/test_failover.py",
            "tests/contract/test_circuit_breaker.py",
        ),
    ),
    Row("core.routing.circuit_breaker", ("tests/unit/routing/test_circuit_breaker.py",)),
    Row("core.services.files.collection", ("tests/contract/test_files.py", "tests/contract/test_file_uploads.py")),
    Row("core.services.files.router", FILES),
    Row("core.services.files.uploads", FILES),
    Row("core.services.files.parts", ("tests/contract/test_file_uploads.py", "tests/contract/test_erasure.py")),
    Row("core.services.files.keeping", ("tests/contract/test_files.py",)),
    Row("core.services.files.storages", (*FILES, "tests/contract/test_reference_files.py")),
    Row("core.apis.bounds", ("tests/unit/apis/test_tokens.py",)),
    Row("core.apis.deltas", ("tests/unit/apis/test_deltas.py",)),
    *(
        Row(f"core.services.inference.chats.{name}", ("tests/contract/test_stored_chats.py",))
        for name in ("collection", "folding", "keeping", "records")
    ),
    Row("core.services.inference.envelope", ("tests/unit/services/test_envelope.py",)),
    Row("core.apis.additions", ("tests/unit/providers/test_refused.py", "tests/contract/test_refused_additions.py")),
    Row("core.apis.embedding_options", ("tests/contract/test_embedding_options.py",)),
    Row(
        "core.providers.openai.refused",
        ("tests/unit/providers/test_refused.py", "tests/contract/test_refused_additions.py"),
    ),
    Row(
        "core.providers.http.faults", ("tests/unit/providers/test_faults.py", "tests/contract/test_upstream_faults.py")
    ),
    Row("core.apis.usage", ("tests/unit/apis/test_usage.py",)),
    Row("core.quota.draft", ("tests/unit/quota",)),
    Row("core.quota.lasting", ("tests/unit/quota/test_bindings.py", "tests/contract/test_counter_names.py")),
    Row("core.quota.order", ("tests/unit/quota/test_bindings.py", "tests/unit/services/batches/test_native_shard.py")),
    Row("core.quota.windows", ("tests/unit/quota/test_windows.py",)),
    Row("core.quota.quota", ("tests/unit/quota",)),
    Row("core.quota.streams", ("tests/unit/quota/test_streams.py",)),
    Row("core.stores.semaphores.sqlite", ("tests/contract/test_semaphore_store.py",)),
    Row("core.stores.semaphores.dynamodb", ("tests/contract/test_semaphore_store.py",)),
    Row("core.auth.claims", ("tests/unit/auth/test_claims.py", "tests/contract/test_auth_tokens.py")),
    Row("core.auth.jwt_verifier", ("tests/unit/auth/test_jwt_verifier.py", "tests/contract/test_auth_tokens.py")),
    Row("core.platform.secrets", ("tests/unit/platform/test_secrets.py",)),
    Row("core.config.substitution", ("tests/unit/config/test_substitution.py",)),
    Row("core.config.media_urls", ("tests/attack/test_media_urls.py",)),
    Row(
        "core.config.urls",
        ("tests/unit/config/test_urls.py", "tests/attack/test_urls.py", "tests/attack/test_media_urls.py"),
    ),
    Row(
        "core.platform.addresses",
        (
            "tests/unit/providers/test_fetch_addresses.py",
            "tests/attack/test_media_urls.py",
            "tests/attack/test_urls.py",
        ),
    ),
    Row("core.resolution.callers_parts", ("tests/attack/test_registered_providers.py", "tests/attack/test_urls.py")),
    Row("core.web.origins", ("tests/unit/web/test_origins.py",)),
    Row("core.web.uploads", ("tests/unit/web/test_uploads.py",)),
    Row("core.web.multipart", ("tests/unit/web/test_uploads.py",)),
    Row("core.web.byte_answers", ("tests/unit/web/test_byte_answers.py",)),
    Row("core.web.idempotency", ("tests/unit/web/test_idempotency.py", "tests/contract/test_idempotency.py")),
    Row(
        "core.providers.bedrock.converse.messages",
        ("tests/unit/providers/test_converse_messages.py", "tests/unit/providers/test_converse_round_trip.py"),
    ),
    Row(
        "core.providers.bedrock.converse.calls",
        ("tests/unit/providers/test_converse_turns.py", "tests/unit/providers/test_converse_conversations.py"),
    ),
    Row("core.providers.bedrock.converse.turns", ("tests/unit/providers/test_converse_turns.py",)),
    Row("core.providers.bedrock.converse.tools", ("tests/unit/providers/test_converse_tools.py",)),
    Row("core.providers.bedrock.converse.sampling", ("tests/unit/providers/test_converse_sampling.py",)),
    Row("core.providers.bedrock.converse.thinking", ("tests/unit/providers/test_converse_thinking.py",)),
    Row("core.providers.bedrock.converse.media", ("tests/unit/providers/test_converse_media.py",)),
    Row("core.providers.bedrock.converse.output_format", ("tests/unit/providers/test_converse_output_format.py",)),
    Row("core.providers.bedrock.converse.answer_text", ("tests/unit/providers/test_converse_answer_text.py",)),
    Row("core.providers.http.events", ("tests/unit/providers/test_sse.py",)),
    Row(
        "core.providers.http.upstream_errors",
        ("tests/unit/providers/test_upstream_errors.py", "tests/contract/test_upstream_streams.py"),
    ),
    Row("core.providers.http.upstream_failures", ("tests/unit/providers/test_upstream_errors.py",)),
    Row("core.services.vector_stores.fusion", ("tests/unit/services/test_vector_store_fusion.py",)),
    Row(
        "core.services.vector_stores.ranking",
        ("tests/unit/services/test_vector_store_ranking.py", "tests/contract/test_vector_search.py"),
    ),
    Row(
        "core.services.vector_stores.reranking",
        ("tests/unit/apis/test_rerank.py", "tests/contract/test_vector_reranking.py"),
    ),
    Row(
        "core.services.vector_stores.ingest.contexts",
        ("tests/unit/services/vector_stores/test_chunks.py", "tests/contract/test_contextual_chunks.py"),
    ),
    Row("core.services.retrieval.citations", ("tests/unit/services/retrieval/test_citations.py",)),
    Row("core.services.retrieval.merging", ("tests/unit/services/retrieval/test_merging.py",)),
    Row("core.services.retrieval.budget", ("tests/unit/services/retrieval/test_merging.py",)),
    Row("core.services.retrieval.wording", ("tests/unit/services/retrieval/test_wording.py",)),
    Row(
        "core.services.retrieval.questions",
        ("tests/unit/services/retrieval/test_questions.py", "tests/contract/test_rag_tool.py"),
    ),
    Row("core.services.retrieval.documents", RETRIEVAL),
    Row("core.services.retrieval.document_text", RETRIEVAL),
    Row("core.services.retrieval.router", RETRIEVAL),
    Row("core.providers.retrieval.knowledge", RETRIEVAL),
    Row("core.apis.rerank", ("tests/unit/apis/test_rerank.py", "tests/contract/test_rerank.py")),
    Row("core.services.inference.reranking", ("tests/contract/test_rerank.py",)),
    Row("core.providers.openai.reranking", ("tests/contract/test_rerank.py",)),
    Row("core.providers.bedrock.reranking", ("tests/contract/test_bedrock_rerank.py",)),
    Row(
        "core.services.vector_stores.removal",
        ("tests/contract/test_vector_stores.py", "tests/contract/test_vector_removal.py"),
    ),
    Row(
        "core.services.vector_stores.stores",
        ("tests/contract/test_vector_stores.py", "tests/contract/test_vector_removal.py"),
    ),
    Row("core.services.vector_stores.attributes", STORE_FILES),
    Row(
        "core.services.vector_stores.ingest.engine",
        (
            "tests/contract/test_ingest_engine.py",
            "tests/contract/test_store_files.py",
            "tests/contract/test_store_files_jobs.py",
            "tests/contract/test_store_files_exact.py",
        ),
    ),
    Row(
        "core.services.vector_stores.ingest.lease",
        ("tests/contract/test_ingest_lease.py", "tests/contract/test_store_files_jobs.py"),
    ),
    Row("core.services.vector_stores.ingest.chunks", ("tests/unit/services/vector_stores/test_chunks.py",)),
    Row("core.services.vector_stores.ingest.pace", ("tests/unit/services/vector_stores/test_pace.py",)),
    *(
        Row(f"core.services.vector_stores.ingest.{name}", EXTRACT)
        for name in ("extract", "limits", "office", "packages", "pdf", "plain", "reader")
    ),
    Row(
        "core.services.vector_stores.ingest.failures",
        ("tests/contract/test_store_files_jobs.py", "tests/contract/test_store_files_refused.py"),
    ),
    Row("core.services.vector_stores.ingest.job", ("tests/contract/test_store_files_jobs.py",)),
    Row(
        "core.services.vector_stores.adding",
        ("tests/contract/test_store_files.py", "tests/contract/test_store_files_jobs.py"),
    ),
    Row("core.services.vector_stores.batches", ("tests/contract/test_store_files_jobs.py",)),
    Row(
        "core.services.vector_stores.records",
        ("tests/unit/services/test_vector_store_records.py", "tests/contract/test_ingest_lease.py", *STORE_FILES),
    ),
    Row("core.services.vector_stores.file_records", STORE_FILES),
    Row("core.services.vector_stores.files", STORE_FILES),
    Row("core.services.vector_stores.file_pages", STORE_FILES),
    Row("core.services.vector_stores.file_shapes", STORE_FILES),
    *(
        Row(f"core.services.vector_stores.{name}", STORES)
        for name in (
            "creation",
            "databases",
            "declared",
            "embedding",
            "keeping",
            "metadata",
            "native",
            "router",
            "shapes",
        )
    ),
    *(
        Row(f"core.services.vector_stores.copying.{name}", COPIES)
        for name in ("chunks", "ends", "files", "job", "router")
    ),
    Row("core.services.vector_stores.ingest.origin", COPIES),
    Row("core.services.vector_stores.search", ("tests/contract/test_vector_search.py",)),
    Row("core.services.vector_stores.rewriting", ("tests/contract/test_vector_search.py",)),
    Row("core.services.files.records", FILES),
    *(
        Row(f"core.services.batches.{name}", ("tests/contract/test_batches.py",))
        for name in ("requests", "router", "shown", "slots")
    ),
    Row("core.services.batches.provided", ("tests/contract/test_batches_external.py",)),
    Row("core.cli.batch.output", ("tests/unit/cli/test_batch.py",)),
    Row("core.cli.jobs.waiting", ("tests/unit/cli/test_batch.py", "tests/unit/cli/test_jobs.py")),
    Row("core.stores.documents.tallies", ("tests/contract/test_document_tallies.py",)),
    Row("core.providers.files.localfs", ("tests/contract/test_files.py", "tests/contract/test_file_uploads.py")),
    Row("core.providers.files.s3", ("tests/contract/test_files.py", "tests/contract/test_file_uploads.py")),
    Row("core.providers.s3_vectors.errors", S3_VECTORS, "s3"),
    Row("core.apis.vector_filters", ("tests/unit/apis/test_vector_filters.py",)),
    Row("core.apis.vector_checks", ("tests/contract/test_vector_providers.py",)),
    Row("core.providers.vector_sqlite.buffer", VECTORS, "sqlite"),
    Row("core.providers.vector_sqlite.tables", VECTORS, "sqlite"),
    Row("core.providers.vector_sqlite.vector_io", VECTORS, "sqlite"),
    Row("core.providers.s3_vectors.wire", S3_VECTORS, "s3"),
    Row("core.providers.s3_vectors.filters", S3_VECTORS, "s3"),
    Row("core.providers.s3_vectors.vector_io", S3_VECTORS, "s3"),
    *(
        Row(f"core.providers.pgvector.{name}", PGVECTOR, "pgvector")
        for name in ("filters", "rows", "statements", "vector_io")
    ),
    Row("core.providers.pgvector.direct", PGVECTOR[:1]),
    Row("core.providers.pgvector.pool", ("tests/contract/test_pgvector_pool.py",)),
    Row("core.providers.pgvector.data_api", ("tests/contract/test_rds_data.py",)),
    Row("core.providers.chroma.wire", CHROMA, "chroma"),
    Row("core.providers.chroma.vector_io", CHROMA, "chroma"),
    Row("core.providers.qdrant.wire", QDRANT, "qdrant"),
    Row("core.providers.knowledge_bases.wire", ("tests/contract/test_knowledge_bases.py",)),
    *(
        Row(f"core.providers.web_search.{name}", WEB_SEARCH)
        for name in ("client", "results", "searches", "tool_runtime")
    ),
    *(
        Row(f"core.providers.aws_lambda.{name}", ("tests/contract/test_lambda_tools.py",))
        for name in ("config", "errors", "tool_runtime", "wire")
    ),
    *(
        Row(f"core.providers.mcp.{name}", MCP)
        for name in (
            "client",
            "credentials",
            "discovery",
            "endpoints",
            "eras",
            "event_sessions",
            "event_stream",
            "failures",
            "hearing",
            "oauth",
            "operators",
            "results",
            "servers",
            "sessions",
            "stateless",
            "tools",
            "transport",
            "wire",
        )
    ),
    *(Row(f"core.services.mcp.{name}", MCP_SERVER) for name in ("catalog", "eras", "naming", "router", "stores")),
    Row("core.web.messages", ("tests/unit/web/test_messages.py",)),
    Row("core.platform.signed_json", ("tests/contract/test_signed_json.py",)),
    Row("core.services.tools.arguments", ("tests/unit/services/test_tool_arguments.py",)),
    *(Row(f"core.services.tools.{name}", TOOLS) for name in ("groups", "listings", "router", "service", "shown")),
    Row("core.resolution.external.reference.tools", ("tests/contract/test_reference_tools.py",)),
    Row(
        "core.apis.response_rules", ("tests/unit/apis/test_response_rules.py", "tests/contract/test_responses_input.py")
    ),
    Row(
        "core.apis.response_items", ("tests/unit/apis/test_response_rules.py", "tests/contract/test_responses_input.py")
    ),
    *(
        Row(f"core.services.responses.engine.{name}", RUNS)
        for name in (
            "chat",
            "citing",
            "failures",
            "hosted",
            "links",
            "messages",
            "open_items",
            "parts",
            "pieces",
            "preparing",
            "reading",
            "rounds",
            "standing",
            "standins",
            "steps",
            "thoughts",
            "truncation",
        )
    ),
    *(Row(f"core.services.responses.printing.{name}", RESPONSES) for name in ("events", "forms", "objects", "shown")),
    *(
        Row(f"core.services.responses.{name}", RESPONSES)
        for name in ("answer", "attachments", "guardrails", "items", "requests", "router")
    ),
    *(
        Row(f"core.services.responses.state.{name}", THREADS)
        for name in (
            "conversations",
            "erasing",
            "keeping",
            "leases",
            "place",
            "records",
            "removal",
            "responses",
            "sessions",
            "threads",
        )
    ),
    *(
        Row(f"core.services.responses.tools.{name}", RUN_TOOLS)
        for name in (
            "approvals",
            "choices",
            "functions",
            "mcp_tools",
            "naming",
            "resolving",
            "results",
            "searches",
            "servers",
            "shapes",
            "told",
        )
    ),
    Row("core.services.responses.sealing.reasoning", SEALED),
    *(Row(f"core.services.sealing.{name}", SEALED) for name in ("envelope", "sealer", "state_key")),
    *(
        Row(f"core.services.responses.compaction.{name}", SEALED)
        for name in ("answering", "compactor", "context", "opening", "summary", "tools")
    ),
    *(
        Row(
            f"core.services.responses.native.{name}",
            (
                "tests/unit/services/responses/test_native.py",
                "tests/contract/test_native_responses.py",
                "tests/contract/test_responses_external.py",
            ),
        )
        for name in ("engine", "finding", "hosted", "members", "reading", "writing")
    ),
    Row("core.services.responses.native.charging", ("tests/unit/services/responses/test_package_usage.py",)),
    Row("core.services.responses.engine.bounds", ("tests/unit/services/responses/engine",)),
    *(
        Row(f"core.services.responses.recording.{name}", LOGS)
        for name in ("codec", "ending", "folding", "following", "log", "opening", "removing", "writing")
    ),
    Row("core.services.responses.recording.pauses", ("tests/unit/services/responses/test_log_pauses.py",)),
    *(
        Row(
            f"core.services.responses.recording.{name}",
            (*LOGS, "tests/contract/test_responses_background.py"),
            "test_recording or run_log or runs_ or cancelled or in_the_list or followed_live",
        )
        for name in ("listing", "running", "serving")
    ),
    Row(
        "core.services.responses.background.handing",
        ("tests/unit/services/responses/test_handing.py", *WORKERS),
        "test_handing or too_long or leaves_goes or as_it_goes",
    ),
    Row(
        "core.services.responses.background.taking",
        ("tests/contract/test_runs_taken.py", *WORKERS),
        "runs_taken or two_workers or in_the_middle or gets_on or cancelled",
    ),
    Row("core.services.responses.background.metering", ("tests/unit/services/responses/test_metering.py",)),
    *(
        Row(f"core.services.responses.{name}", WORKERS, only)
        for name, only in {
            "background.creating": "at_the_post or left_to or queued or counts or at_once",
            "background.ending": "stopped or given_up or has_failed",
            "background.lapsing": "died or another_has or gone_on or nobody_has or quota",
            "background.working": "two_workers or in_the_middle or gets_on or quota or secret",
            "engine.checking": "at_the_post",
        }.items()
    ),
    *(
        Row(f"core.services.agents.{name}", AGENTS)
        for name in (
            "collection",
            "removal",
            "router",
            "session_documents",
            "turn_documents",
            "turns.messages",
            "turns.printing",
            "turns.resuming",
            "turns.sessions",
            "turns.settings",
            "turns.shielding",
            "turns.shields",
            "turns.steps",
            "turns.telling",
            "turns.tools",
        )
    ),
    Row("core.services.conversations.router", THREADS),
    *(
        Row(f"core.services.prompts.{name}", ("tests/unit/services/prompts", "tests/contract/test_prompts.py"))
        for name in ("collection", "keeping", "records", "resolving", "router", "template")
    ),
    *(
        Row(f"core.services.batches.job.{name}", ("tests/unit/services/batches",))
        for name in ("faults", "lines", "planning", "usage", "validation")
    ),
    *(
        Row(
            f"core.services.batches.job.{name}",
            (
                "tests/unit/services/batches",
                "tests/contract/test_batch_lines.py",
                "tests/contract/test_batch_changes.py",
                "tests/contract/test_batch_faults.py",
            ),
        )
        for name in ("asking", "endpoints", "entries", "finishing", "kind", "output", "preparing", "spans")
    ),
    *(
        Row(f"core.services.batches.native.{name}", ("tests/unit/services/batches",))
        for name in ("account", "results", "shard", "state", "usage")
    ),
    Row(
        "core.services.batches.native.choosing",
        ("tests/unit/services/batches", "tests/contract/test_batch_native.py"),
    ),
    *(
        Row(f"core.services.webhooks.{name}", WEBHOOKS)
        for name in ("announcing", "collection", "events", "job", "records", "router", "secrets", "sending", "signing")
    ),
    Row("core.providers.webhooks.builtin", ("tests/contract/test_webhooks.py",)),
    Row("core.services.jobs.paging", ("tests/contract/test_batch_faults.py",)),
    *(
        Row(f"core.services.evals.{name}", ("tests/unit/services/evals",))
        for name in ("job.kind", "job.finishing", "job.results", "rows")
    ),
    *(
        Row(f"core.services.evals.{name}", EVALS)
        for name in (
            "erasing",
            "evaluating",
            "numbering",
            "request_agents",
            "shown",
            "stack_evals",
        )
    ),
    Row("core.services.evals.router", (*EVALS, "tests/contract/test_evals_external.py")),
    Row("core.services.evals.candidates", ("tests/unit/services/evals/test_eval_candidates.py", *EVALS)),
    Row(
        "core.services.evals.provided",
        ("tests/contract/test_evals_external.py", "tests/contract/test_evaluation_packages.py"),
    ),
    Row("core.providers.aws.overview_health", ("tests/contract/test_overview_health.py",)),
    Row("core.providers.evals.builtin", EVALS),
    *(
        Row(f"core.services.datasets.{name}", ("tests/unit/services/test_dataset_segments.py",))
        for name in ("purposes", "segments")
    ),
    *(
        Row(f"core.services.datasets.{name}", ("tests/contract/test_datasets.py",), only)
        for name, only in {
            "collection": "appended or others or policy or declared or removed",
            "declared": "declared",
            "keeping": "keeps",
            "records": "page or shown or list or fails",
            "registering": "not lambda and not appended",
            "router": "page or appended or policy or shown or declared",
            "sources": "sources or no_dataset or mended or large or fails",
        }.items()
    ),
    Row(
        "core.services.datasets.appending",
        (
            "tests/unit/services/test_dataset_segments.py",
            "tests/contract/test_datasets.py",
            "tests/contract/test_datasets_external.py",
        ),
        "neighbours or appended or keeps",
    ),
    Row(
        "core.services.datasets.reading",
        (
            "tests/unit/services/test_dataset_segments.py",
            "tests/contract/test_datasets_kept.py",
            "tests/contract/test_datasets.py",
        ),
        "weighs or left or page or appended or list or large",
    ),
    *(
        Row(
            f"core.services.datasets.{name}",
            ("tests/contract/test_datasets_kept.py", "tests/contract/test_datasets.py"),
            "kept or keeps or erased or draft or large or import or job",
        )
        for name in ("drafts", "erasing", "importing")
    ),
    *(
        Row(f"core.services.datasets.formats.{name}", ("tests/unit/services/test_row_formats.py",))
        for name in (
            "decoding",
            "json_lines",
            "json_values",
            "reader",
            "rules",
            "sniffing",
            "tables",
            "text",
        )
    ),
    *(
        Row(f"core.providers.datasets.{name}", ("tests/contract/test_dataset_sources.py",))
        for name in ("buckets", "inlined", "places", "s3", "source_bucket")
    ),
    *(
        Row(f"core.providers.datasets.{name}", ("tests/contract/test_datasets.py",), "sources or no_dataset")
        for name in ("folder", "localfs")
    ),
    *(
        Row(f"core.providers.huggingface.{name}", ("tests/contract/test_hub_datasets.py",))
        for name in ("datasets", "uris", "wire")
    ),
    Row("core.services.scoring.scorers", ("tests/contract/test_scoring.py",)),
    Row("core.services.scoring.job", ("tests/unit/services/test_score_job.py", "tests/contract/test_score_batch.py")),
    Row("core.services.scoring.router", ("tests/contract/test_score_batch.py", "tests/contract/test_scoring.py")),
    *(
        Row(
            f"core.providers.llm_judge.{name}",
            ("tests/contract/test_scoring.py",),
            "judge or template or sense or stick or regex or takes_over",
        )
        for name in ("judge", "prompts", "scoring")
    ),
    *(
        Row(f"core.providers.braintrust.{name}", ("tests/contract/test_braintrust.py",))
        for name in ("assignment", "evaluation", "rows", "scoring")
    ),
    *(
        Row(
            f"core.services.batches.job.{name}",
            ("tests/unit/services/batches", "tests/contract/test_batch_datasets.py"),
        )
        for name in ("dataset_input", "dataset_output", "template")
    ),
    Row("core.apis.prices", ("tests/unit/apis/test_prices.py", "tests/unit/services/test_money.py")),
    Row("core.apis.prompt_bounds", ("tests/unit/apis/test_prompt_bounds.py",)),
    Row("core.services.inference.money", ("tests/unit/services/test_money.py",)),
    Row("core.services.inference.prices", ("tests/unit/services/test_prices.py",)),
    Row("core.services.scoring.aggregation", ("tests/unit/services/test_score_aggregation.py",)),
    Row("core.platform.linear_regex", ("tests/unit/platform/test_linear_regex.py",)),
    *(
        Row(f"core.providers.scoring_basic.{name}", (f"tests/unit/scoring_basic/test_{tests}.py",))
        for tests, names in (
            ("basic_functions", ("basic", "choices", "columns", "docvqa", "functions", "matches")),
            ("math_answers", ("latex_values", "math_answers")),
            ("ifeval", ("ifeval", "ifeval_arguments", "ifeval_checks", "ifeval_language", "text_counts")),
            ("bfcl", ("bfcl", "bfcl_checks", "bfcl_python", "bfcl_source", "bfcl_types")),
        )
        for name in names
    ),
)
