"""What the safety API answers."""

from typing import Any, Literal, NotRequired, TypedDict

from core.apis.safety import Violation


class ShieldReport(TypedDict):
    """`violation` is null where nothing was found."""

    violation: Violation | None


class ModerationResult(TypedDict):
    """Of one input: every category that the shield's provider names, whether it was found or not.

    Shields have no scores: one that was found has 1, with the types of the input, `text` and `image`; any other has 0 and none.
    """

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]
    user_message: str | None
    metadata: dict[str, Any]


class Moderation(TypedDict):
    id: str
    model: str
    results: list[ModerationResult]


class Shield(TypedDict):
    identifier: str
    provider_resource_id: str
    provider_id: str
    type: Literal["shield"]
    owner: NotRequired[str]
    params: dict[str, Any]
