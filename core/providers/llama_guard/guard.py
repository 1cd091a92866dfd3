"""Llama Guard: a model judges a conversation, asked by chat with its own prompt, here or at a vendor.

Source: the model cards of Llama Guard 3 (https://www.llama.com/docs/model-cards-and-prompt-formats/llama-guard-3/): the
prompt, the categories S1 to S14 and the two lines of the answer.
"""

from collections.abc import Mapping, Sequence
import re
from typing import Any, Final, Protocol, cast

from core.apis.inference import ChatRequest
from core.apis.safety import MOST_VERDICT_TOKENS, Violation
from core.errors import InvalidRequest, UpstreamFailed
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject
from core.providers.http.message_text import plain_text

CATEGORIES: Final = {
    "S1": "Violent Crimes",
    "S2": "Non-Violent Crimes",
    "S3": "Sex Crimes",
    "S4": "Child Exploitation",
    "S5": "Defamation",
    "S6": "Specialized Advice",
    "S7": "Privacy",
    "S8": "Intellectual Property",
    "S9": "Indiscriminate Weapons",
    "S10": "Hate",
    "S11": "Self-Harm",
    "S12": "Sexual Content",
    "S13": "Elections",
    "S14": "Code Interpreter Abuse",
}
ROLES: Final = {"user": "User", "assistant": "Agent"}
REFUSAL: Final = "I can't answer that. Can I help with something else?"
# Possessive, so that no answer takes long: after `unsafe` a line ends, among whatever blanks.
ANSWER: Final = re.compile(r"\s*+(?:(safe)|unsafe(?=[^\S\n]*+\n)\s*+(S\d++(?:\s*+,\s*+S\d++)*+))\s*+")
PROMPT: Final = """\
Task: Check if there is unsafe content in '{agent}' messages in our conversations according our safety policy with the \
below categories.

<BEGIN UNSAFE CONTENT CATEGORIES>
{categories}
<END UNSAFE CONTENT CATEGORIES>

<BEGIN CONVERSATION>

{conversation}

<END CONVERSATION>

Provide your safety assessment for ONLY THE LAST {agent} message in the above conversation:
 - First line must read 'safe' or 'unsafe'.
 - If unsafe, a second line must include a comma-separated list of violated categories."""


class Chat(Protocol):
    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        """As Inference has it."""
        ...


class LlamaGuard:
    """A shield's name within its provider is the id that `inference` knows a Llama Guard by."""

    def __init__(self, inference: Chat, excluded: Sequence[str]) -> None:
        self._inference = inference
        self._excluded = frozenset(excluded)

    async def check_shield(self, shield: Resource) -> None:
        """Any model will do: whether it is a Llama Guard shows in how it answers."""
        del shield

    async def run_shield(
        self, shield: Resource, messages: list[dict[str, Any]], params: JsonObject
    ) -> Violation | None:
        """What the model says of the last message; temperature 0.

        Raises:
            InvalidRequest: the conversation has nothing to judge.
            UpstreamFailed: the answer is neither safe nor unsafe, which is never taken for safe.
        """
        del params
        request = ChatRequest.model_validate(
            {
                "model": shield.provider_resource_id,
                "messages": [{"role": "user", "content": self._question(messages)}],
                "temperature": 0,
                "max_tokens": MOST_VERDICT_TOKENS,
            }
        )
        names = self._parse_verdict(_text_of(await self._inference.chat_completion(request)))
        if not names:
            return None
        metadata = {"violation_type": ",".join(names), "categories": [CATEGORIES[name] for name in names]}
        return Violation(violation_level="error", user_message=REFUSAL, metadata=metadata)

    async def health(self) -> Health:
        """It has no server of its own: its model's provider tells."""
        return Health(status="OK")

    def _question(self, messages: Sequence[Mapping[str, Any]]) -> str | list[dict[str, Any]]:
        turns = [
            message for message in messages if message.get("role") in list(ROLES)
        ]  # a list: a role may be anything
        if not turns:
            raise InvalidRequest("There is no user or assistant message to judge.", param="messages")
        lines = [
            f"{ROLES[message['role']]}: {plain_text(message.get('content'), image='<image>')}" for message in turns
        ]
        looked_for = [f"{name}: {title}." for name, title in CATEGORIES.items() if name not in self._excluded]
        text = PROMPT.format(
            agent=ROLES[turns[-1]["role"]], categories="\n".join(looked_for), conversation="\n\n".join(lines)
        )
        images = _images(turns[-1].get("content"))
        return [{"type": "text", "text": text}, *images] if images else text

    def _parse_verdict(self, answer: str) -> list[str]:
        """The categories that are violated; strict, since a model that rambles has judged nothing."""
        verdict = ANSWER.fullmatch(answer)
        if verdict is None:
            raise UpstreamFailed(
                "The shield's model answered neither `safe` nor `unsafe` with categories. Is it a Llama Guard?"
            )
        names = re.findall(r"S\d+", verdict[2] or "")
        if any(name not in CATEGORIES for name in names):
            raise UpstreamFailed("The shield's model named a category that does not exist.")
        return [name for name in dict.fromkeys(names) if name not in self._excluded]


def _text_of(reply: JsonObject) -> str:
    match reply:
        case {"choices": [{"message": {"content": str(text)}}, *_]}:
            return text
        case _:
            raise UpstreamFailed("The shield's model did not answer with text.")


def _images(content: object) -> list[dict[str, Any]]:
    """OpenAI's image parts, for the vision model."""
    parts = cast("Sequence[Any]", content) if isinstance(content, list) else ()
    return [part for part in parts if _is_image(part)]


def _is_image(part: object) -> bool:
    match part:
        case {"type": "image_url"}:
            return True
        case _:
            return False
