"""The names of the reference that are made of a row: what they are called, their fields, their values.

Of a record each word is a field, None where it is not given; `name=value` has that default, in JSON or as text; `:Other` is
another row, of which its dictionaries become records, and those in a list of them too. In a value of an enum `~` is a blank.
"""

from typing import Final

from core.resolution.external.reference.agent_rows import AGENT_RECORDS

ENUMS: Final = {
    name: values.split()
    for name, values in {
        "ViolationLevel": "INFO=info WARN=warn ERROR=error",
        "ModelType": "llm embedding rerank",
        "HealthStatus": "OK ERROR=Error NOT_IMPLEMENTED=Not~Implemented",
        "JobStatus": "completed in_progress failed scheduled cancelled",
        "ResourceType": "model shield vector_db vector_store dataset scoring_function benchmark tool tool_group prompt"
        " connector",
        "StopReason": "end_of_turn end_of_message out_of_tokens",
        "ToolChoice": "auto required none",
        "ToolPromptFormat": "json function_tag python_list",
        "TextTruncation": "none start end",
        "EmbeddingTaskType": "query document",
        "SystemMessageBehavior": "append replace",
        "ResponseFormatType": "json_schema grammar",
        "ChatCompletionResponseEventType": "start complete progress",
        "OpenAIFilePurpose": "ASSISTANTS=assistants BATCH=batch FINE_TUNE=fine-tune VISION=vision USER_DATA=user_data"
        " EVALS=evals",
        "Order": "asc desc",
        "Action": "CREATE=create READ=read UPDATE=update DELETE=delete",
        "ColumnType": "INTEGER STRING TEXT FLOAT BOOLEAN JSON DATETIME",
        "QuantizationType": "bf16 fp8_mixed int4_mixed",
        "StepType": "inference tool_execution shield_call memory_retrieval",
        "ToolCallParseStatus": "started in_progress failed succeeded",
        "AgentTurnResponseEventType": "step_start step_complete step_progress turn_start turn_complete turn_awaiting_input",
        "AggregationFunctionType": "average weighted_average median categorical_count accuracy",
    }.items()
}

CONSTANTS: Final = {
    "RERANKER_TYPE_RRF": "rrf",
    "RERANKER_TYPE_WEIGHTED": "weighted",
    "RERANKER_TYPE_NORMALIZED": "normalized",
}

BASES: Final = frozenset(
    [
        "Agents",
        "Batches",
        "Benchmarks",
        "BenchmarksProtocolPrivate",
        "Connectors",
        "Conversations",
        "DatasetIO",
        "Datasets",
        "DatasetsProtocolPrivate",
        "DatasetStore",
        "Eval",
        "FileProcessors",
        "Files",
        "Inference",
        "InferenceProvider",
        "Inspect",
        "KVStore",
        "AuthorizedSqlStore",
        "SqlStore",
        "ModelStore",
        "Models",
        "ModelsProtocolPrivate",
        "PostTraining",
        "Prompts",
        "Providers",
        "RoutingTable",
        "Safety",
        "Scoring",
        "ScoringFunctions",
        "ScoringFunctionsProtocolPrivate",
        "ScoringFunctionStore",
        "ShieldStore",
        "Shields",
        "ShieldsProtocolPrivate",
        "Telemetry",
        "ToolGroups",
        "ToolGroupsProtocolPrivate",
        "ToolRuntime",
        "ToolStore",
        "VectorDBs",
        "VectorDBStore",
        "VectorDBsProtocolPrivate",
        "VectorIO",
        "VectorStoresProtocolPrivate",
        "VectorStoreTable",
    ]
)

ALIASES: Final = {
    "UserMessage": "OpenAIUserMessageParam",
    "SystemMessage": "OpenAISystemMessageParam",
    "ToolResponseMessage": "OpenAIToolMessageParam",
    "CompletionMessage": "OpenAIAssistantMessageParam",
    "OpenAIChatCompletionResponseMessage": "OpenAIAssistantMessageParam",
    "TextContentItem": "OpenAIChatCompletionContentPartTextParam",
    "Message": "OpenAIMessageParam",
    "OpenAIEmbeddingsRequest": "OpenAIEmbeddingsRequestWithExtraBody",
    "EmbeddedChunk": "Chunk",
    "OpenAIFileUploadPurpose": "OpenAIFilePurpose",
    "VectorDBWithIndex": "VectorStoreWithIndex",
    "KVStoreConfig": "SqliteKVStoreConfig",
    "KVStoreReference": "SqliteKVStoreConfig",
    "SqlStoreReference": "SqliteKVStoreConfig",
    "SqlStoreConfig": "SqliteKVStoreConfig",
    "SqliteSqlStoreConfig": "SqliteKVStoreConfig",
    "VectorStoreNotFoundError": "ResourceNotFoundError",
    "OpenAIFileObjectNotFoundError": "ResourceNotFoundError",
}

UNIONS: Final = {
    "OpenAIMessageParam": "OpenAIUserMessageParam OpenAISystemMessageParam OpenAIDeveloperMessageParam"
    " OpenAIAssistantMessageParam OpenAIToolMessageParam",
    "OpenAIChatCompletionContentPartParam": "OpenAIChatCompletionContentPartTextParam"
    " OpenAIChatCompletionContentPartImageParam OpenAIFile",
    "InterleavedContentItem": "TextContentItem ImageContentItem",
    "InterleavedContent": "str TextContentItem ImageContentItem",
    "SamplingStrategy": "GreedySamplingStrategy TopPSamplingStrategy TopKSamplingStrategy",
    "ResponseFormat": "JsonSchemaResponseFormat GrammarResponseFormat",
    "Step": "InferenceStep ToolExecutionStep ShieldCallStep MemoryRetrievalStep",
    "ContentDelta": "TextDelta ImageDelta ToolCallDelta",
    "AgentToolGroup": "str AgentToolGroupWithArgs",
    "AgentTurnResponseEventPayload": "AgentTurnResponseStepStartPayload AgentTurnResponseStepProgressPayload"
    " AgentTurnResponseStepCompletePayload AgentTurnResponseTurnStartPayload AgentTurnResponseTurnCompletePayload"
    " AgentTurnResponseTurnAwaitingInputPayload",
    "Filter": "ComparisonFilter CompoundFilter",
    "EvalCandidate": "ModelCandidate AgentCandidate",
    "OpenAIResponseFormatParam": "OpenAIResponseFormatText OpenAIResponseFormatJSONSchema"
    " OpenAIResponseFormatJSONObject",
}

GENERATION: Final = (
    "frequency_penalty logit_bias logprobs max_tokens n presence_penalty seed stop stream stream_options"
)
GENERATION_TOO: Final = "temperature top_p user"

ANNOTATIONS: Final = (
    "OpenAIAttachFileRequest",
    "OpenAICreateVectorStoreFileBatchRequestWithExtraBody",
    "OpenAICreateVectorStoreRequestWithExtraBody",
    "OpenAISearchVectorStoreRequest",
    "OpenAIUpdateVectorStoreFileRequest",
    "OpenAIUpdateVectorStoreRequest",
    "VectorStoreChunkingStrategy",
    "VectorStoreChunkingStrategyStatic",
    "VectorStoreContent",
    "VectorStoreDeleteResponse",
    "VectorStoreFileBatchObject",
    "VectorStoreFileContentResponse",
    "VectorStoreFileContentsResponse",
    "VectorStoreFileCounts",
    "VectorStoreFileDeleteResponse",
    "VectorStoreFileObject",
    "VectorStoreFileStatus",
    "VectorStoreFilesListInBatchResponse",
    "VectorStoreListFilesResponse",
    "VectorStoreListResponse",
    "VectorStoreObject",
    "VectorStoresConfig",
    "VectorStoreSearchResponse",
    "VectorStoreSearchResponsePage",
)
"""Records of OpenAI's vector stores, which packages name in signatures that nobody calls here."""

RECORDS: Final = {
    "OpenAIUserMessageParam": "role=user content:OpenAIChatCompletionContentPartParam name",
    "OpenAISystemMessageParam": "role=system content:OpenAIChatCompletionContentPartParam name",
    "OpenAIDeveloperMessageParam": "role=developer content:OpenAIChatCompletionContentPartParam name",
    "OpenAIAssistantMessageParam": "role=assistant content:OpenAIChatCompletionContentPartParam name"
    " tool_calls:OpenAIChatCompletionToolCall",
    "OpenAIToolMessageParam": "role=tool tool_call_id content:OpenAIChatCompletionContentPartParam",
    "OpenAIChatCompletionContentPartTextParam": "type=text text",
    "OpenAIChatCompletionContentPartImageParam": "type=image_url image_url:OpenAIImageURL",
    "OpenAIFile": "type=file file",
    "OpenAIImageURL": "url detail",
    "ImageContentItem": "type=image image",
    "URL": "uri",
    "OpenAIChatCompletionToolCall": "index id type=function function:OpenAIChatCompletionToolCallFunction",
    "OpenAIChatCompletionToolCallFunction": "name arguments",
    "OpenAIChatCompletionRequestWithExtraBody": f"model messages:OpenAIMessageParam {GENERATION} {GENERATION_TOO}"
    " function_call functions max_completion_tokens parallel_tool_calls response_format tool_choice tools top_logprobs"
    " reasoning_effort safety_identifier prompt_cache_key service_tier",
    "OpenAICompletionRequestWithExtraBody": f"model prompt best_of echo suffix {GENERATION} {GENERATION_TOO}",
    "OpenAIEmbeddingsRequestWithExtraBody": "model input encoding_format dimensions user",
    "OpenAIChatCompletion": "id choices:OpenAIChoice object=chat.completion created model"
    " usage:OpenAIChatCompletionUsage",
    "OpenAIChoice": "message:OpenAIAssistantMessageParam finish_reason index logprobs",
    "OpenAIChatCompletionChunk": "id choices:OpenAIChunkChoice object=chat.completion.chunk created model"
    " usage:OpenAIChatCompletionUsage",
    "OpenAIChunkChoice": "delta:OpenAIChoiceDelta finish_reason index logprobs",
    "OpenAIChoiceDelta": "content refusal role tool_calls:OpenAIChatCompletionToolCall",
    "OpenAIChoiceLogprobs": "content refusal",
    "OpenAIChatCompletionUsage": "prompt_tokens completion_tokens total_tokens prompt_tokens_details"
    " completion_tokens_details",
    "OpenAICompletion": "id choices:OpenAICompletionChoice object=text_completion created model"
    " usage:OpenAIChatCompletionUsage",
    "OpenAICompletionChoice": "finish_reason text index logprobs",
    "OpenAIEmbeddingsResponse": "object=list data:OpenAIEmbeddingData model usage:OpenAIEmbeddingUsage",
    "OpenAIEmbeddingData": "object=embedding embedding index",
    "OpenAIEmbeddingUsage": "prompt_tokens total_tokens",
    "OpenAIResponseFormatText": "type=text",
    "OpenAIResponseFormatJSONObject": "type=json_object",
    "OpenAIResponseFormatJSONSchema": "type=json_schema json_schema",
    "SamplingParams": 'strategy={"type":"greedy"} max_tokens repetition_penalty=1.0 stop',
    "GreedySamplingStrategy": "type=greedy",
    "TopPSamplingStrategy": "type=top_p temperature top_p=0.95",
    "TopKSamplingStrategy": "type=top_k top_k",
    "JsonSchemaResponseFormat": "type=json_schema json_schema",
    "GrammarResponseFormat": "type=grammar bnf",
    "ToolConfig": "tool_choice=auto tool_prompt_format system_message_behavior=append",
    "ToolDefinition": "tool_name description parameters",
    "ToolCall": "call_id tool_name arguments",
    "LogProbConfig": "top_k=0",
    "TokenLogProbs": "logprobs_by_token",
    "ChatCompletionRequest": "model messages:OpenAIMessageParam sampling_params tools=[] tool_config response_format"
    " stream=false logprobs",
    "CompletionRequest": "model content sampling_params response_format stream=false logprobs",
    "ChatCompletionResponse": "completion_message:OpenAIAssistantMessageParam logprobs metrics",
    "CompletionResponse": "content stop_reason logprobs",
    "EmbeddingsResponse": "embeddings",
    "RerankRequest": "model query items max_num_results",
    "RerankResponse": "data",
    "RerankData": "index relevance_score",
    "Model": "identifier provider_resource_id provider_id type=model model_type:ModelType=llm metadata={}",
    "GetModelRequest": "model_id",
    "ListModelsResponse": "data:Model",
    "Shield": "identifier provider_resource_id provider_id type=shield params",
    "GetShieldRequest": "identifier",
    "ListShieldsResponse": "data:Shield",
    "RunShieldRequest": "shield_id messages:OpenAIMessageParam params",
    "RunShieldResponse": "violation:SafetyViolation",
    "SafetyViolation": "violation_level:ViolationLevel user_message metadata={}",
    "RunModerationRequest": "input model",
    "ModerationObject": "id model results:ModerationObjectResults",
    "ModerationObjectResults": "flagged categories category_applied_input_types category_scores user_message metadata={}",
    "Benchmark": "identifier provider_resource_id provider_id type=benchmark dataset_id scoring_functions=[] metadata={}",
    "ListBenchmarksResponse": "data:Benchmark",
    "BenchmarkConfig": "eval_candidate scoring_params={} num_examples",
    "ModelCandidate": "type=model model sampling_params system_message",
    "AgentCandidate": "type=agent config",
    "EvaluateResponse": "generations scores",
    "Job": "job_id status:JobStatus",
    "ScoringResult": "score_rows aggregated_results",
    "ScoringFn": "identifier provider_resource_id provider_id type=scoring_function description metadata={} return_type"
    " params",
    "Dataset": "identifier provider_resource_id provider_id type=dataset purpose source metadata={}",
    "PaginatedResponse": "data has_more url",
    "OpenAIFileObject": "object=file id bytes created_at expires_at filename purpose status=processed status_details",
    "OpenAIFileDeleteResponse": "id object=file deleted=true",
    "ListOpenAIFileResponse": "data:OpenAIFileObject has_more=false first_id last_id object=list",
    "UploadFileRequest": "purpose:OpenAIFilePurpose expires_after:ExpiresAfter",
    "RetrieveFileRequest": "file_id",
    "DeleteFileRequest": "file_id",
    "RetrieveFileContentRequest": "file_id",
    "ListFilesRequest": "after limit=10000 order purpose:OpenAIFilePurpose",
    "ExpiresAfter": "anchor seconds",
    "ToolDef": "name description parameters input_schema output_schema toolgroup_id metadata",
    "ToolParameter": "name parameter_type description required=true default items title",
    "Tool": "identifier provider_resource_id provider_id type=tool toolgroup_id description parameters metadata",
    "ListToolDefsResponse": "data:ToolDef",
    "ListToolGroupsResponse": "data:ToolGroup",
    "ToolGroup": "identifier provider_resource_id provider_id type=tool_group mcp_endpoint args",
    "ToolInvocationResult": "content error_message error_code metadata",
    "VectorDB": "identifier provider_resource_id provider_id type=vector_db embedding_model embedding_dimension",
    "VectorStore": "identifier provider_resource_id provider_id type=vector_store embedding_model embedding_dimension",
    "Chunk": "content chunk_id stored_chunk_id metadata={} chunk_metadata:ChunkMetadata embedding embedding_model"
    " embedding_dimension",
    "ChunkMetadata": "chunk_id document_id source created_timestamp updated_timestamp chunk_window chunk_tokenizer"
    " chunk_embedding_model chunk_embedding_dimension content_token_count metadata_token_count",
    "ChunkForDeletion": "chunk_id document_id",
    "InsertChunksRequest": "vector_store_id chunks:Chunk ttl_seconds",
    "QueryChunksRequest": "vector_store_id query params",
    "QueryChunksResponse": "chunks:Chunk scores=[]",
    "DeleteChunksRequest": "vector_store_id chunks:ChunkForDeletion",
    "ComparisonFilter": "type key value",
    "CompoundFilter": "type filters",
    "SearchRankingOptions": "ranker score_threshold=0.0",
    "SqliteKVStoreConfig": "type db_path backend namespace",
    "ColumnDefinition": "type primary_key=false nullable=true default",
    **dict.fromkeys(ANNOTATIONS, ""),
    **AGENT_RECORDS,
    "HealthInfo": "status",
    "NetworkConfig": "tls proxy timeout headers",
    "TLSConfig": "verify=true min_version ciphers client_cert client_key",
    "ProxyConfig": "url http https cacert no_proxy",
    "TimeoutConfig": "connect read",
    "AccessRule": "permit forbid when unless description",
}

FUNCTIONS: Final = frozenset(
    [
        "convert_chat_completion_request",
        "convert_completion_request",
        "convert_message_to_openai_dict",
        "convert_message_to_openai_dict_new",
        "convert_openai_chat_completion_choice",
        "convert_openai_chat_completion_stream",
        "convert_openai_completion_choice",
        "convert_openai_completion_stream",
        "convert_tooldef_to_openai_tool",
        "get_sampling_options",
        "get_sampling_strategy_options",
        "_convert_openai_finish_reason",
        "localize_image_content",
        "chat_completion_request_to_prompt",
        "completion_request_to_prompt",
        "process_chat_completion_response",
        "process_chat_completion_stream_response",
        "process_completion_response",
        "process_completion_stream_response",
        "get_stream_options_for_telemetry",
        "WeightedInMemoryAggregator",
        "parse_filter",
        "authorized_sqlstore",
        "sqlstore_impl",
    ]
)
