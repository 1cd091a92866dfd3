"""A stack whose one tool group has the tools that the official MCP conformance suite asks a server for, by `llambda serve`."""

from collections.abc import Generator
from contextlib import contextmanager
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.contract.external import put
from tests.parts.stack import serving

PACKAGE = """
from pydantic import BaseModel
from core.apis.tools import Tool, ToolListing, ToolResult

class Config(BaseModel):
    pass

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/q842iQAAAABJRU5ErkJggg=="
WAVE = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
TEXT = {"type": "text", "text": "This is a simple text response for testing."}
IMAGE = {"type": "image", "data": PIXEL, "mimeType": "image/png"}
RESULTS = {
    "test_simple_text": ToolResult([TEXT]),
    "test_image_content": ToolResult([IMAGE]),
    "test_audio_content": ToolResult([{"type": "audio", "data": WAVE, "mimeType": "audio/wav"}]),
    "test_embedded_resource": ToolResult([{"type": "resource", "resource": {
        "uri": "test://embedded-resource", "mimeType": "text/plain", "text": "This is an embedded resource content."}}]),
    "test_multiple_content_types": ToolResult([
        {"type": "text", "text": "Multiple content types test:"}, IMAGE,
        {"type": "resource", "resource": {
            "uri": "test://mixed-content-resource", "mimeType": "application/json", "text": '{"test":"data","value":123}'}}]),
    "test_error_handling": ToolResult("This tool intentionally returns an error for testing", failed=True),
    "test_logging_tool": ToolResult("Nothing was logged."),
    "test_streaming_elicitation": ToolResult("Nobody was asked."),
}
MIRRORED = {"type": "object", "required": ["region"], "properties": {
    "region": {"type": "string", "x-mcp-header": "Region"},
    "count": {"type": "integer", "x-mcp-header": "Count"}}}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": {
        "street": {"type": "string"}, "city": {"type": "string"}}}},
    "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"}, "email": {"type": "string"}},
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}

class Tools:
    async def check_tool_group(self, group): pass
    def credentials_of(self, group, access): return ""
    async def list_tools(self, group, access):
        if group.name != "suite":
            return ToolListing([Tool("only_for_others", "A tool of another group.")])
        tools = [Tool(name, f"For the suite: {name}.") for name in RESULTS]
        schemas = {"json_schema_2020_12_tool": SCHEMA, "test_mirrored_arguments": MIRRORED}
        return ToolListing([*tools, *(Tool(name, "Of one schema.", schema) for name, schema in schemas.items())])
    async def invoke_tool(self, group, tool, arguments, access):
        return RESULTS.get(tool) or ToolResult(str(arguments))
    async def health(self): return {"status": "OK"}
    async def close(self): pass

async def get_adapter_impl(config, deps): return Tools()
"""


def write_config(folder: Path, **more: object) -> Path:
    """The run config; its module is imported from `folder`."""
    put(folder, PACKAGE, "tool_runtime")
    document = {
        "version": 2,
        "image_name": "suite",
        "apis": ["tool_runtime"],
        "providers": {"tool_runtime": [{"provider_id": "x", "provider_type": "remote::parrot", "config": {}}]},
        "tool_groups": [{"toolgroup_id": "suite", "provider_id": "x"}],
        "external_providers_dir": str(folder / "providers.d"),
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
        **more,
    }
    (folder / "run.json").write_text(json.dumps(document))
    return folder / "run.json"


@contextmanager
def suite_stack() -> Generator[str]:
    """Its address, without /mcp."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        config = write_config(folder)
        with serving(config, folder / "log.txt", env={"PYTHONPATH": name}) as url:
            yield url
