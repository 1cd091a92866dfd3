"""Llama Guard: a model judges a conversation, asked by chat with its own prompt, here or at a vendor.

Source: the model cards of Llama Guard 3 (https://www.llama.com/docs/model-cards-and-prompt-formats/llama-guard-3/): the
prompt, the categories S1 to S14 and the two lines of the answer.
"""

from collections.abc import Mapping, Sequence
import re
from typing import Any, Final, Protocol

from core.apis.inference import ChatRequest
from core.apis.safety import INPUT, MOST_VERDICT_TOKENS, OUTPUT, Violation
from core.errors import UpstreamFailed
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject
from core.providers.http.message_text import images_of, plain_text, source_of, speaker_of, transcript

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
TURN: Final = re.compile(r"^([ \t]*(?:User|Agent)):", re.MULTILINE)
IMAGE: Final = "<image>"
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
        """What the model says of what goes in or of what comes out; temperature 0.

        Raises:
            InvalidRequest: there is no message, or one has what no model of this kind judges.
            UpstreamFailed: the answer is neither safe nor unsafe, which is never taken for safe.
        """
        request = ChatRequest.model_validate(
            {
                "model": shield.provider_resource_id,
                "messages": [{"role": "user", "content": self._question(messages, source_of(messages, params))}],
                "temperature": 0,
                "max_tokens": MOST_VERDICT_TOKENS,
            }
        )
        names = self._parse_verdict(_text_of(await self._inference.chat_completion(request)))
        if not names:
            return None
        metadata = {"violation_type": ",".join(names), "categories": [CATEGORIES[name] for name in names]}
        return Violation(violation_level="error", user_message=REFUSAL, metadata=metadata)

    async def judge_by_category(
        self, shield: Resource, messages: list[dict[str, Any]], params: JsonObject
    ) -> tuple[Violation | None, Sequence[str]]:
        """The categories are told by their titles, those that are excluded too."""
        return await self.run_shield(shield, messages, params), tuple(CATEGORIES.values())

    async def health(self) -> Health:
        """It has no server of its own: its model's provider tells."""
        return Health(status="OK")

    def _question(self, messages: Sequence[Mapping[str, Any]], source: str = INPUT) -> str | list[JsonObject]:
        """The model was trained to judge the last message alone: so all that goes in is one message of the user's."""
        judged_from = len(messages) - 1 if source == OUTPUT else 0
        before, judged = messages[:judged_from], messages[judged_from:]
        agent = "Agent" if source == OUTPUT else "User"
        turns = [(ROLES[speaker_of(message)], plain_text(message.get("content"), image=IMAGE)) for message in before]
        turns.append((agent, transcript(judged, image=IMAGE)))
        lines = [f"{name}: {TURN.sub(r'\1 :', text)}" for name, text in turns]  # no text begins a turn of its own
        looked_for = [f"{name}: {title}." for name, title in CATEGORIES.items() if name not in self._excluded]
        text = PROMPT.format(agent=agent, categories="\n".join(looked_for), conversation="\n\n".join(lines))
        images = images_of(judged)
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
