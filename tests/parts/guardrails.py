"""What Bedrock answers about guardrails, for FakeBedrock's `replies`.

Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ApplyGuardrail.html,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListGuardrails.html.
"""

import json
from typing import Any, Final

from aiohttp import web

from tests.parts.bedrock import ACCOUNT, GUARDRAIL, REGION, refusal
from tests.parts.upstream import Reply

ARN: Final = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:guardrail/{GUARDRAIL}"
BLOCKED_MESSAGE: Final = "Sorry, that is not allowed here."
UNITS: Final = dict.fromkeys(
    (
        "topicPolicyUnits",
        "contentPolicyUnits",
        "wordPolicyUnits",
        "sensitiveInformationPolicyUnits",
        "sensitiveInformationPolicyFreeUnits",
        "contextualGroundingPolicyUnits",
    ),
    1,
)
VIOLENCE: Final[dict[str, Any]] = {
    "contentPolicy": {
        "filters": [
            {"type": "VIOLENCE", "confidence": "HIGH", "filterStrength": "HIGH", "action": "BLOCKED", "detected": True},
            {"type": "HATE", "confidence": "LOW", "filterStrength": "LOW", "action": "NONE", "detected": True},
        ]
    }
}
EMAIL: Final[dict[str, Any]] = {
    "sensitiveInformationPolicy": {
        "piiEntities": [{"type": "EMAIL", "match": "a@b.example", "action": "ANONYMIZED", "detected": True}],
        "regexes": [],
    }
}


def passed(characters: int = 5, images: int = 0) -> dict[str, Any]:
    """`images` is how many the guardrail looked at."""
    coverage = {
        "textCharacters": {"guarded": characters, "total": characters},
        "images": {"guarded": images, "total": images},
    }
    return {"usage": UNITS, "action": "NONE", "outputs": [], "assessments": [{}], "guardrailCoverage": coverage}


def intervened(*assessments: dict[str, Any], outputs: tuple[str, ...] = (BLOCKED_MESSAGE,)) -> dict[str, Any]:
    return {
        "usage": UNITS,
        "action": "GUARDRAIL_INTERVENED",
        "actionReason": "Guardrail blocked.",
        "outputs": [{"text": text} for text in outputs],
        "assessments": list(assessments),
    }


def listing(*versions: str, guardrail: str = GUARDRAIL) -> Reply:
    """ListGuardrails, one version a page; another guardrail is not there."""

    async def reply(request: web.Request) -> web.StreamResponse:
        wanted = request.query.get("guardrailIdentifier")
        if wanted not in (None, guardrail, ARN):
            return await refusal(404, "ResourceNotFoundException")(request)
        at = int(request.query.get("nextToken", 0))
        shown = [_summary(version) for version in versions[at : at + 1]]
        more = {"nextToken": str(at + 1)} if at + 1 < len(versions) else {}
        return web.json_response({"guardrails": shown, **more})

    return reply


def judging(word: str) -> Reply:
    """ApplyGuardrail that blocks what has `word` in it."""

    async def reply(request: web.Request) -> web.StreamResponse:
        asked = json.loads(await request.read())
        said = " ".join(block["text"]["text"] for block in asked["content"] if "text" in block)
        return web.json_response(intervened(VIOLENCE) if word in said else passed(len(said)))

    return reply


def _summary(version: str) -> dict[str, Any]:
    return {
        "id": GUARDRAIL,
        "arn": ARN,
        "status": "READY",
        "name": "guard",
        "version": version,
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": "2026-01-01T00:00:00Z",
    }
