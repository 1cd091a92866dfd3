"""What the tool runtime answers: one shape with the fields of Llama Stack 0.2 (`parameters`) and those of later ones (`input_schema`)."""

from typing import Any, Literal, NotRequired, TypedDict

from core.frame.types import JsonObject


class EndpointView(TypedDict):
    uri: str


class ToolGroupView(TypedDict):
    identifier: str
    provider_resource_id: str
    provider_id: str
    type: Literal["tool_group"]
    owner: NotRequired[str]
    mcp_endpoint: EndpointView | None
    args: dict[str, Any] | None


class ToolParameter(TypedDict):
    """`parameter_type` is JSON schema's name of a type; `schema` is all that the tool says of an array, an object or a choice."""

    name: str
    parameter_type: str
    description: str
    required: bool
    default: Any
    title: NotRequired[str]
    items: NotRequired[JsonObject]
    schema: NotRequired[JsonObject]


class ToolDefinition(TypedDict):
    name: str
    toolgroup_id: str | None
    description: str
    parameters: list[ToolParameter]
    input_schema: JsonObject
    output_schema: JsonObject | None
    metadata: JsonObject


class ToolDefinitionList(TypedDict):
    data: list[ToolDefinition]


class ToolView(ToolDefinition):
    identifier: str
    provider_resource_id: None
    provider_id: str
    type: Literal["tool"]


class ToolList(TypedDict):
    data: list[ToolView]


class ContentText(TypedDict):
    type: Literal["text"]
    text: str


class ImageData(TypedDict):
    """Base64."""

    data: str


class ContentImage(TypedDict):
    type: Literal["image"]
    image: ImageData


class Invocation(TypedDict):
    """`error_code` is 1 where the tool says that it failed, and 0 otherwise; `structured_content` is a result's JSON."""

    content: str | list[ContentText | ContentImage] | None
    error_message: str | None
    error_code: int
    metadata: JsonObject
    structured_content: NotRequired[JsonObject]


class Connector(TypedDict):
    """`server_name` and what follows are what the server says of itself, where it was asked."""

    connector_id: str
    connector_type: Literal["mcp"]
    url: str
    server_label: str | None
    server_name: str | None
    server_description: str | None
    server_version: str | None


class ConnectorList(TypedDict):
    data: list[Connector]
