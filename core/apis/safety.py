"""The safety API: shields that judge conversations, and OpenAI's moderations over them.

Sources: Safety and Shields of Llama Stack 0.2.12 and 0.7.3, https://platform.openai.com/docs/api-reference/moderations.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Protocol, TypedDict

from pydantic import ConfigDict, Field, model_validator

from core.apis.inference import Name
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject, Wire


class RegisterShield(Wire):
    """`shield_id` and `provider_shield_id` default to each other, `provider_id` to the only safety provider."""

    model_config = ConfigDict(extra="forbid")

    shield_id: Name
    provider_shield_id: Name | None = None
    provider_id: Annotated[str, Field(min_length=1)] | None = None
    params: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_shield_id(cls, values: Any) -> Any:  # noqa: ANN401 - not validated yet
        match values:
            case {"provider_shield_id": str(name), **rest} if rest.get("shield_id") is None:
                return {**rest, "provider_shield_id": name, "shield_id": name}
            case _:
                return values


class RunShieldRequest(Wire):
    """`messages` are OpenAI's or 0.2's: both have a role and a content."""

    shield_id: Name
    messages: Annotated[list[dict[str, Any]], Field(min_length=1)]
    params: dict[str, Any] | None = None


class ModerationRequest(Wire):
    """`model` is a shield, by either of its names or as its guard is called; without it there must be exactly one.

    A text is an input, and so is each of a list; content parts are one input together, as OpenAI has it.
    """

    input: str | list[Any]
    model: Name | None = None


INPUT: Final = "INPUT"
OUTPUT: Final = "OUTPUT"
"""What `params.source` of a judgement may be: what goes into a model, or what comes out of it."""

MOST_VERDICT_TOKENS: Final = 64  # that a guard model may make of one conversation
MOST_INPUTS: Final = 32  # of one request for moderation; each is a call of its own to the shield's provider


def most_tokens(request: RunShieldRequest | ModerationRequest) -> int:
    """How many tokens a guard model may make of the request, whether or not its shield asks one."""
    return MOST_VERDICT_TOKENS * (count_inputs(request) if isinstance(request, ModerationRequest) else 1)


def count_inputs(request: ModerationRequest) -> int:
    """Each is a judgement; more than are taken is one request, which is refused."""
    entries = request.input
    if isinstance(entries, str) or is_parts(entries):
        return 1
    return len(entries) if 1 <= len(entries) <= MOST_INPUTS else 1


def is_parts(entries: Sequence[object]) -> bool:
    """Whether they are content parts, and so one input."""
    return all(isinstance(entry, dict) for entry in entries)


class Violation(TypedDict):
    """`user_message` may be shown to the user; `metadata` is the provider's, with `violation_type` where it has one.

    `violation_type` has the names of the categories with commas between them, or codes of theirs, and `categories` the names.
    """

    violation_level: Literal["info", "warn", "error"]
    user_message: str | None
    metadata: JsonObject


def is_strict(shield: Resource) -> bool:
    """Whether what this shield cannot judge is refused: unless its params say `strict: false`."""
    params: JsonObject = shield.attributes.get("params") or {}
    return params.get("strict") is not False


class Safety(Protocol):
    async def run_shield(self, request: RunShieldRequest) -> JsonObject:
        """`{"violation": null}`, or a Violation there. Raises NotFound for an unknown shield."""
        ...

    async def moderate(self, request: ModerationRequest) -> JsonObject:
        """OpenAI's `{id, model, results: [{flagged, categories, category_scores, ...}]}`, a result for each input."""
        ...


class SafetyProvider(Protocol):
    """What a safety provider offers. A shield that cannot be judged raises: it is never taken for a pass."""

    async def run_shield(
        self, shield: Resource, messages: list[dict[str, Any]], params: JsonObject
    ) -> Violation | None:
        """What `shield` finds in `messages`, in all of them or, where `params.source` is OUTPUT, in the last; None if nothing.

        Their roles are user and assistant, their content is a string or OpenAI's parts `text` and `image_url`, whose URLs are
        `data:` ones: what else a caller said is in there as text.
        """
        ...

    async def check_shield(self, shield: Resource) -> None:
        """Raise InvalidRequest if this shield cannot be registered; ProviderUnavailable if that cannot be told."""
        ...

    async def health(self) -> Health:
        """Ask the provider; never raises for a provider that is down."""
        ...


class TellsCategories(Protocol):
    """What a safety provider may have too, that knows what it looks for, and not just what it finds."""

    async def judge_by_category(
        self, shield: Resource, messages: list[dict[str, Any]], params: JsonObject
    ) -> tuple[Violation | None, Sequence[str]]:
        """As `run_shield`, with the names of all the categories that were looked for."""
        ...
