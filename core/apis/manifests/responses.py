"""Responses, the conversations that they are of, the prompts that they begin with, and the agents that they are turns of."""

from typing import Final

from core.apis.agent_operations import AGENTS
from core.frame.api import Api, Deployment, Eraser, JobRow, Surface
from core.frame.operations import Operation, openai_paths

TYPES: Final = "core.apis.responses"
QUERIES: Final = "core.apis.response_queries"
ANSWERS: Final = "core.apis.answers.responses"
NO_BOUND: Final = "core.apis.inference:no_bound"

ONE: Final = openai_paths("/responses/{response_id}")
RESPONSES: Final = (
    Operation(
        "POST",
        openai_paths("/responses"),
        "create",
        "Answer with a response: rounds of a model and tools.",
        request=f"{TYPES}:ResponseRequest",
        response=f"{ANSWERS}:Response",
        stream="stream",
        event=f"{ANSWERS}:ResponseEvent",
        frames="events",
        failure="core.services.responses.printing.events:failure_event",
        tokens=f"{TYPES}:most_tokens",
        model="model",
        idempotent=True,
    ),
    Operation(
        "GET",
        openai_paths("/responses"),
        "index",
        "List your responses.",
        query=f"{QUERIES}:ResponsesQuery",
        response=f"{ANSWERS}:ResponseList",
    ),
    Operation(
        "POST",
        openai_paths("/responses/compact"),
        "compact",
        "Make a context shorter: a summary takes the place of what was said.",
        request=f"{QUERIES}:CompactRequest",
        response=f"{ANSWERS}:CompactedResponse",
        tokens=NO_BOUND,
        model="model",
        idempotent=True,
    ),
    Operation(
        "POST",
        openai_paths("/responses/input_tokens"),
        "count_input",
        "Estimate the tokens of an input.",
        request=f"{QUERIES}:InputTokensRequest",
        response=f"{ANSWERS}:InputTokens",
    ),
    Operation(
        "GET",
        ONE,
        "get",
        "Show a response, or with `stream=true` the events of its stream.",
        query=f"{QUERIES}:ResponseQuery",
        response=f"{ANSWERS}:Response",
        stream="replay",
        event=f"{ANSWERS}:ResponseEvent",
        frames="events",
        failure="core.services.responses.printing.events:failure_event",
    ),
    Operation("DELETE", ONE, "delete", "Delete a response.", response=f"{ANSWERS}:ResponseDeleted"),
    Operation(
        "POST",
        openai_paths("/responses/{response_id}/cancel"),
        "cancel",
        "Cancel a response.",
        response=f"{ANSWERS}:Response",
        counted=False,
    ),
    Operation(
        "GET",
        openai_paths("/responses/{response_id}/input_items"),
        "input_items",
        "List the items of a response's input.",
        query=f"{QUERIES}:InputItemsQuery",
        response=f"{ANSWERS}:ItemList",
    ),
)

CONVERSATION_TYPES: Final = "core.apis.conversations"
CONVERSATION_ANSWERS: Final = "core.apis.answers.conversations"
ONE_CONVERSATION: Final = openai_paths("/conversations/{conversation_id}")
ITEMS: Final = openai_paths("/conversations/{conversation_id}/items")
ONE_ITEM: Final = openai_paths("/conversations/{conversation_id}/items/{item_id}")
CONVERSATIONS: Final = (
    Operation(
        "POST",
        openai_paths("/conversations"),
        "create",
        "Begin a conversation.",
        request=f"{CONVERSATION_TYPES}:NewConversation",
        response=f"{CONVERSATION_ANSWERS}:Conversation",
        idempotent=True,
    ),
    Operation("GET", ONE_CONVERSATION, "get", "Show a conversation.", response=f"{CONVERSATION_ANSWERS}:Conversation"),
    Operation(
        "POST",
        ONE_CONVERSATION,
        "update",
        "Change the metadata of a conversation.",
        request=f"{CONVERSATION_TYPES}:ChangedConversation",
        response=f"{CONVERSATION_ANSWERS}:Conversation",
    ),
    Operation(
        "DELETE",
        ONE_CONVERSATION,
        "delete",
        "Delete a conversation.",
        response=f"{CONVERSATION_ANSWERS}:ConversationDeleted",
    ),
    Operation(
        "POST",
        ITEMS,
        "add_items",
        "Add items to a conversation.",
        request=f"{CONVERSATION_TYPES}:NewItems",
        query=f"{CONVERSATION_TYPES}:IncludeQuery",
        response=f"{CONVERSATION_ANSWERS}:ConversationItemList",
        idempotent=True,
    ),
    Operation(
        "GET",
        ITEMS,
        "list_items",
        "List the items of a conversation.",
        query=f"{QUERIES}:InputItemsQuery",
        response=f"{CONVERSATION_ANSWERS}:ConversationItemList",
    ),
    Operation(
        "GET",
        ONE_ITEM,
        "get_item",
        "Show an item of a conversation.",
        query=f"{CONVERSATION_TYPES}:IncludeQuery",
        response=f"{CONVERSATION_ANSWERS}:ConversationItem",
    ),
    Operation(
        "DELETE",
        ONE_ITEM,
        "delete_item",
        "Delete an item of a conversation.",
        response=f"{CONVERSATION_ANSWERS}:Conversation",
    ),
)

PROMPT_TYPES: Final = "core.apis.prompts"
PROMPT_ANSWERS: Final = "core.apis.answers.prompts"
ONE_PROMPT: Final = ("/v1/prompts/{prompt_id}",)
PROMPTS: Final = (
    Operation(
        "POST",
        ("/v1/prompts",),
        "create",
        "Make a prompt.",
        request=f"{PROMPT_TYPES}:NewPrompt",
        response=f"{PROMPT_ANSWERS}:Prompt",
        idempotent=True,
    ),
    Operation(
        "GET",
        ("/v1/prompts",),
        "index",
        "List your prompts.",
        query=f"{PROMPT_TYPES}:PromptsQuery",
        response=f"{PROMPT_ANSWERS}:PromptList",
    ),
    Operation(
        "GET",
        ONE_PROMPT,
        "get",
        "Show a prompt.",
        query=f"{PROMPT_TYPES}:PromptQuery",
        response=f"{PROMPT_ANSWERS}:Prompt",
    ),
    Operation(
        "PUT",
        ONE_PROMPT,
        "update",
        "Make the next version of a prompt.",
        request=f"{PROMPT_TYPES}:ChangedPrompt",
        response=f"{PROMPT_ANSWERS}:Prompt",
        idempotent=True,
    ),
    Operation(
        "DELETE",
        ONE_PROMPT,
        "delete",
        "Delete a prompt, with its versions.",
        response=f"{PROMPT_ANSWERS}:Nothing",
    ),
    Operation(
        "GET",
        ("/v1/prompts/{prompt_id}/versions",),
        "versions",
        "List the versions of a prompt.",
        query=f"{PROMPT_TYPES}:PromptsQuery",
        response=f"{PROMPT_ANSWERS}:PromptList",
    ),
    Operation(
        "PUT",
        ("/v1/prompts/{prompt_id}/set-default-version",),
        "set_default_version",
        "Choose the version that a prompt is used in.",
        request=f"{PROMPT_TYPES}:DefaultVersion",
        response=f"{PROMPT_ANSWERS}:Prompt",
    ),
)

KEPT: Final = (
    "agent",
    "agent_session",
    "agent_turn",
    "prompt",
    "prompt_version",
    "response",
    "response_run",
    "response_log",
    "thread_turn",
    "conversation",
    "conversation_lease",
    "conversation_guest",
    "response_day",
    "seal_key",
)
READ: Final = ("file", "file_use", "vector_store", "vector_store_file", "vector_store_batch", "vector_store_owner")
"""What inputs and searches are of."""

API: Final = Api(
    "responses",
    surfaces=(
        Surface("responses", f"{TYPES}:Responses", RESPONSES),
        Surface("conversations", f"{CONVERSATION_TYPES}:Conversations", CONVERSATIONS),
        Surface("prompts", f"{PROMPT_TYPES}:Prompts", PROMPTS),
        Surface("agents", "core.apis.agents:Agents", AGENTS),
    ),
    assemble="core.services.responses.assemble:assemble",
    provider=f"{TYPES}:ResponsesProvider",
    depends=("inference", "safety", "vector_io", "files", "tool_runtime"),
    occasional=("safety", "vector_io", "files", "tool_runtime"),  # which guardrails, tools and attachments ask
    stores=("documents", "blobs"),
    optional_stores=("jobs", "queue"),
    collections=(*KEPT, *READ),
    eraser=Eraser("core.services.responses.erasing:erase", KEPT),
    jobs=(JobRow("response", "core.services.responses.background.job:response_job"),),
    deployment=Deployment(
        rights=(
            "State",
            "CallModels",
            "CallModelsBehindProfiles",
            "Rerank",
            "ApplyGuardrails",
            "FileBuckets",
            "Vectors",
            "VectorsOfStack",
            "Databases",
            "SearchKnowledgeBases",
            "InvokeToolFunctions",
            "InvokeMcpGateways",
        ),
        switch="HasResponses",
    ),
)
