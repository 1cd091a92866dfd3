"""What a guardrail found, as a violation. Pure.

Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ApplyGuardrail.html,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_GuardrailAssessment.html.
"""

from collections.abc import Iterator
from typing import Final

from core.apis.safety import Violation
from core.errors import InvalidRequest, UpstreamFailed
from core.frame.types import JsonObject

MASKED: Final = "ANONYMIZED"
FINDINGS: Final = (
    ("topicPolicy", "topics", "name"),
    ("contentPolicy", "filters", "type"),
    ("wordPolicy", "customWords", ""),
    ("wordPolicy", "managedWordLists", "type"),
    ("sensitiveInformationPolicy", "piiEntities", "type"),
    ("sensitiveInformationPolicy", "regexes", "name"),
    ("contextualGroundingPolicy", "filters", "type"),
)
"""Where an assessment lists what it found, and the field that names it; a custom word has no name but itself."""
CONTENT_FILTERS: Final = ("SEXUAL", "VIOLENCE", "HATE", "INSULTS", "MISCONDUCT", "PROMPT_ATTACK")


def violation_of(answer: JsonObject, images: int) -> Violation | None:
    """The violation, if the guardrail intervened; `images` is how many it was to look at.

    `user_message` is the guardrail's own refusal or, where all it did was to mask, the text as masked. `metadata` is the
    last assessment, with `violation_type` and `masked`.

    Raises:
        UpstreamFailed: there is no verdict, which is never taken for a pass.
        InvalidRequest: the guardrail has no policy that looks at images.
    """
    match answer.get("action"):
        case "GUARDRAIL_INTERVENED":
            return _violation(answer)
        case "NONE":
            if answer.get("guardrailCoverage", {}).get("images", {}).get("guarded", 0) < images:
                raise InvalidRequest("The shield's guardrail does not look at images.", param="messages")
            return None
        case _:
            raise UpstreamFailed("The shield's guardrail neither intervened nor let the messages pass.")


def _violation(answer: JsonObject) -> Violation:
    assessments: list[JsonObject] = answer.get("assessments", [])
    outputs: list[JsonObject] = answer.get("outputs", [])
    findings = [entry for assessment in assessments for entry in _entries(assessment) if entry[1] != "NONE"]
    texts = [output["text"] for output in outputs if output.get("text")]
    metadata = dict(assessments[-1]) if assessments else {}
    if findings:
        metadata["violation_type"] = ",".join(dict.fromkeys(name for name, _ in findings))
    metadata["masked"] = bool(findings) and all(action == MASKED for _, action in findings)
    return Violation(violation_level="error", user_message=texts[-1] if texts else None, metadata=metadata)


def categories_of(answer: JsonObject) -> tuple[str, ...]:
    """The names of all that the guardrail looked for, as far as its answer says, and of every content filter."""
    assessments: list[JsonObject] = answer.get("assessments", [])
    names = [name for assessment in assessments for name, _ in _entries(assessment)]
    return tuple(dict.fromkeys((*CONTENT_FILTERS, *names)))


def _entries(assessment: JsonObject) -> Iterator[tuple[str, str]]:
    """Name and action of everything that it tells; NONE is the action of what was not acted on."""
    for policy, kind, name in FINDINGS:
        entries: list[JsonObject] = assessment.get(policy, {}).get(kind, [])
        for entry in entries:
            yield entry.get(name) or kind, entry.get("action", "NONE")
