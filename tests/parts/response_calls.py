"""How tests ask the stack of `.response_stack` for responses, and what they read of an answer."""

from typing import Any, Final

import httpx

from tests.parts.model_script import Round, write_script
from tests.parts.response_stack import MODEL, RESPONSES, ResponseWorld
from tests.parts.vector_stack import by

CONVERSATIONS: Final = "/v1/conversations"
ADA, BOB = by("ada"), by("bob")
MISSING: Final = "resp_" + "0" * 48


async def ask(client: httpx.AsyncClient, *rounds: Round, who: dict[str, str] = ADA, **body: Any) -> httpx.Response:
    asked = {"model": MODEL, **({"input": write_script(*rounds)} if rounds else {}), **body}
    return await client.post(RESPONSES, json=asked, headers=who)


async def answer(client: httpx.AsyncClient, *rounds: Round, **body: Any) -> dict[str, Any]:
    found = await ask(client, *rounds, **body)
    assert found.status_code == 200, found.text
    response: dict[str, Any] = found.json()
    return response


def refusal(found: httpx.Response) -> tuple[int, str]:
    return found.status_code, found.json()["error"]["message"]


def kinds(response: dict[str, Any]) -> list[str]:
    return [item["type"] for item in response["output"]]


def text_of(response: dict[str, Any]) -> str:
    return "".join(
        part.get("text", "") for item in response["output"] if item["type"] == "message" for part in item["content"]
    )


def box(world: ResponseWorld, **more: Any) -> dict[str, Any]:
    return {"type": "mcp", "server_label": "box", "server_url": world.mcp_url, "require_approval": "never", **more}
