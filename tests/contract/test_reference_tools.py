"""A package of tools written for Llama Stack 0.2, or for later versions, is served unchanged, over HTTP."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.parts import reference
from tests.parts.live_stack import client_of, message
from tests.parts.reference_tools import NEW_TOOLS, OLD_TOOLS
from tests.parts.tool_stack import GROUPS, INVOKE, TOOLS


def document(folder: Path, module: str, flavour: str, **config: Any) -> dict[str, Any]:
    entry = {"provider_id": "x", "provider_type": f"{flavour}::crow", "module": module, "config": config}
    endpoint = {"mcp_endpoint": {"uri": "https://nest.example/sse"}} if flavour == "remote" else {}
    return {
        "version": 2,
        "image_name": "t",
        "apis": ["tool_runtime"],
        "providers": {"tool_runtime": [entry]},
        "tool_groups": [{"toolgroup_id": "builtin::crow", "provider_id": "x", **endpoint}],
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
    }


async def call(client: httpx.AsyncClient, data: str = "", **arguments: Any) -> httpx.Response:
    headers = {"x-llamastack-provider-data": data} if data else {}
    body = {"tool_name": "builtin::crow/caw", "kwargs": arguments, "authorization": "t"}
    return await client.post(INVOKE, json=body, headers=headers)


async def test_tools_of_0_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    reference.install(tmp_path, "old_crow", OLD_TOOLS)
    async with client_of(document(tmp_path, "old_crow", "remote")) as client:
        (tool,) = (await client.get(TOOLS)).json()["data"]
        assert tool["description"] == "Caws at https://nest.example/sse."
        loud, at = tool["parameters"]
        assert (loud["parameter_type"], loud["required"], at["required"], at["default"]) == (
            "integer",
            True,
            False,
            "all",
        )
        assert (await call(client, loud="x")).status_code == 400  # before the package is asked
        keyless = await call(client, loud=1)
        assert (keyless.status_code, "Pass the key in the header" in message(keyless)) == (400, True)
        answer = (await call(client, '{"crow_api_key": "own"}', loud=3)).json()
        assert answer["content"] == [
            {"type": "text", "text": "own https://nest.example/sse ['builtin::crow']"},
            {"type": "image", "image": {"data": "aGk="}},
        ]
        assert (answer["error_code"], answer["metadata"]) == (0, {"caws": 3})
        failed = (await call(client, loud=10)).json()
        assert (failed["content"], failed["error_code"]) == ("too loud", 1)
        named = {"toolgroup_id": "g", "provider_id": "x", "mcp_endpoint": {"uri": "https://elsewhere.example"}}
        refused = await client.post(GROUPS, json=named)
        assert (refused.status_code, "from the run config alone" in message(refused)) == (400, True)


async def test_tools_of_later_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    reference.install(tmp_path, "new_crow", NEW_TOOLS)
    async with client_of(document(tmp_path, "new_crow", "inline")) as client:
        (tool,) = (await client.get(TOOLS)).json()["data"]
        assert tool["input_schema"]["required"] == ["q"]
        answer = (await call(client, q="hi")).json()
        assert answer == {"content": "hi t", "error_message": None, "error_code": 0, "metadata": {"sources": []}}
        assert (await client.get("/v1/providers/x")).json()["health"]["status"] in {"OK", "Not Implemented"}
