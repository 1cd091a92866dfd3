"""What a Lambda function is sent to run one of its tools, and what its answer means; nothing here asks it.

The event is the tool's arguments, and which tool it is stands in the client context, as Amazon Bedrock AgentCore Gateway has them for its Lambda
targets: one function serves both.
Sources: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html,
https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/gateway-add-target-lambda.html,
https://modelcontextprotocol.io/specification/2025-11-25/server/tools.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast
from urllib.parse import quote

from pydantic_core import to_json

from core.apis.tools import Block, Tool, ToolResult
from core.errors import shorten
from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object, to_object
from core.providers.aws_lambda.config import SEPARATOR, LambdaFunction, LambdaTool
from core.providers.http.replies import read_json

MESSAGE_VERSION: Final = "1.0"
GATEWAY: Final = "llambda"  # where AgentCore has the id of the gateway; functions read it as a text that is there
CONTEXT_HEADER: Final = "X-Amz-Client-Context"
TYPE_HEADER: Final = "X-Amz-Invocation-Type"
ERROR_HEADER: Final = "x-amz-function-error"
DRY_RUN: Final[Mapping[str, str]] = {TYPE_HEADER: "DryRun"}
MOST_MESSAGE: Final = 2000  # bytes of what a function says of its failure
ERROR_STATUS: Final = 400
OF_MCP: Final = frozenset({"content", "structuredContent", "isError", "_meta"})
OF_PROXY: Final = frozenset({"statusCode", "body", "headers", "multiValueHeaders", "cookies", "isBase64Encoded"})
TEXTS: Final[dict[str, tuple[str, ...]]] = {  # what a block of each type has at least
    "text": ("text",),
    "image": ("data", "mimeType"),
    "audio": ("data", "mimeType"),
    "resource_link": ("uri", "name"),
}


def print_path(function: str) -> str:
    """Where a function is invoked; an alias or a version is a part of its name here."""
    return f"2015-03-31/functions/{quote(function, safe='')}/invocations"


def print_headers(target: str, tool: str, request_id: str, call_id: str) -> dict[str, str]:
    """`request_id` is that of the request that caused the call, `call_id` its own, by which a function can tell it from others and knows it again where it is made again."""
    context = {
        "custom": {
            "bedrockAgentCoreMessageVersion": MESSAGE_VERSION,
            "bedrockAgentCoreAwsRequestId": request_id,
            "bedrockAgentCoreMcpMessageId": call_id,
            "bedrockAgentCoreGatewayId": GATEWAY,
            "bedrockAgentCoreTargetId": target,
            "bedrockAgentCoreToolName": f"{target}{SEPARATOR}{tool}",
        }
    }
    return {TYPE_HEADER: "RequestResponse", CONTEXT_HEADER: b64encode(to_json(context)).decode()}


def list_tools(function: LambdaFunction) -> list[Tool]:
    return [_tool(tool) for tool in function.tools]


def _tool(tool: LambdaTool) -> Tool:
    return Tool(
        tool.name,
        tool.description,
        tool.input_schema,
        output_schema=tool.output_schema,
        title=tool.title,
        read_only=tool.read_only,
    )


def read_result(provider_id: str, content: bytes) -> ToolResult:
    """What a function returned: a result as MCP has it, an answer as for API Gateway, or any other JSON, which is shown as it is.

    Raises UpstreamFailed for what is no JSON, as a function that streams answers.
    """
    value = read_json(provider_id, content) if content.strip() else None
    if is_object(value):
        return _of_mcp(value) or _of_proxy(value) or ToolResult(_text(value), structured=value)
    return ToolResult(_text(value))


def read_failure(provider_id: str, content: bytes) -> ToolResult:
    """What a function raised, or died of: its message alone. Where in its code that was is its operator's, in its log."""
    failure = to_object(read_json(provider_id, content)) if content.strip() else {}
    kind, message = (failure.get(name) for name in ("errorType", "errorMessage"))
    text = message if isinstance(message, str) and message.strip() else "The function failed, and did not say why."
    metadata = {"error_type": shorten(kind, MOST_MESSAGE)} if isinstance(kind, str) and kind else {}
    return ToolResult(shorten(text, MOST_MESSAGE), failed=True, metadata=metadata)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else to_json(value).decode()


def _of_mcp(value: JsonObject) -> ToolResult | None:
    """None for what has another key, or a block of another shape: that is some other object with a `content`."""
    blocks = value.get("content")
    if not is_list(blocks) or not value.keys() <= OF_MCP:
        return None
    printed = list(_blocks(blocks))
    if None in printed:
        return None
    structured = value.get("structuredContent")
    return ToolResult(
        cast("list[Block]", printed),
        structured=structured if is_object(structured) else None,
        failed=value.get("isError") is True,
    )


def _blocks(blocks: list[Any]) -> Iterator[Block | None]:
    for block in map(to_object, blocks):
        kind = block.get("type", "text")  # which functions for AgentCore leave out
        fields = TEXTS.get(kind) if isinstance(kind, str) else None
        if kind == "resource" and is_object(block.get("resource")):
            yield cast("Block", block)
        elif fields and all(isinstance(block.get(field), str) for field in fields):
            yield cast("Block", block | {"type": kind})
        else:
            yield None


def _of_proxy(value: JsonObject) -> ToolResult | None:
    """`{statusCode, body}`, as functions answer that are behind API Gateway too, and as AgentCore's own examples have it."""
    status, body = value.get("statusCode"), value.get("body")
    if not isinstance(status, int) or not value.keys() <= OF_PROXY or value.get("isBase64Encoded"):
        return None
    structured = body if is_object(body) else None
    return ToolResult(_text(body), structured=structured, failed=status >= ERROR_STATUS)
