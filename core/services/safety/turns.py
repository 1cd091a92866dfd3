"""What one message says to whoever reads it: texts and images, and what of it no shield can judge. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.platform.json_outline import outline
from core.platform.json_values import is_list, to_object
from core.services.safety.readings import join_surrogates

ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool", "function", "ipython"})
CONTENTS: Final = ("content", "context")  # 0.2 has both
NOT_FIELDS: Final = frozenset({"role", *CONTENTS})
OFTEN_EMPTY: Final = frozenset(
    {"annotations", "audio", "function_call", "name", "reasoning", "reasoning_content", "refusal", "tool_call_id"}
) | {"tool_calls"}
TEXTS: Final = {"refusal": "refusal", "thinking": "thinking"} | dict.fromkeys(
    ("text", "input_text", "output_text"), "text"
)
"""The types of parts that are text, and the member that has it."""
MEDIA: Final = frozenset(
    {
        "audio",
        "audio_embeds",
        "audio_url",
        "file",
        "file_data",
        "file_id",
        "image",
        "image_embeds",
        "image_pil",
        "image_url",
        "images",
        "input_audio",
        "input_image",
        "prompt_embeds",
        "video",
        "video_url",
        "videos",
    }
)
"""Members of messages and parts that have what is no text; vLLM goes by them where a part has no type."""
IMAGE_KINDS: Final = frozenset({"image_url", "image"})  # OpenAI's and 0.2's
IMAGES: Final = {"iVBORw0KGgo": "png", "/9j/": "jpeg", "R0lGOD": "gif", "UklGR": "webp"}
"""How the base64 of an image begins."""

type Part = str | JsonObject
"""A text, or an image as OpenAI's part `image_url`."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What no shield can judge, and where it is."""

    path: str
    kind: str


@dataclass(slots=True)
class Turn:
    """`fields` is the text of what is not content: of the message, and of its parts."""

    role: str
    content: list[Part] = field(default_factory=list[Part])
    fields: list[str] = field(default_factory=list[str])
    obstacles: list[Obstacle] = field(default_factory=list[Obstacle])


def read_turn(message: JsonObject, path: str) -> Turn:
    """Raises InvalidRequest where the message has no role, or content that is neither text nor parts."""
    role = message.get("role")
    if not isinstance(role, str) or not role:
        raise InvalidRequest(f"{path}.role: must be a string that is not empty.", param=f"{path}.role")
    turn = Turn(role)
    for name in CONTENTS:
        for part, part_path in _parts(message.get(name), f"{path}.{name}"):
            _read_part(part, part_path, turn)
    members = {name: value for name, value in message.items() if name not in NOT_FIELDS and not _is_empty(name, value)}
    if role not in ROLES:
        members["role"] = role  # templates write it into the prompt
    _read_fields(members, path, turn)
    return turn


def _is_empty(name: str, value: object) -> bool:
    """Whether a member that clients send without a need has nothing in it."""
    return name in OFTEN_EMPTY and value in (None, "", [], {})


def _parts(content: object, path: str) -> Iterator[tuple[object, str]]:
    if is_list(content):
        yield from ((part, f"{path}[{position}]") for position, part in enumerate(content))
    else:
        yield content, path


def _read_part(part: object, path: str, turn: Turn) -> None:
    match part:
        case None:
            pass
        case str(text):
            turn.content.append(join_surrogates(text))
        case {"type": str(kind)}:
            members = {name: value for name, value in to_object(part).items() if name != "type"}
            _read_typed(kind, members, path, turn)
        case dict():
            raise InvalidRequest(f"{path}.type: must be a string.", param=f"{path}.type")
        case _:
            raise InvalidRequest(f"{path}: must be a string or a list of parts.", param=path)


def _read_typed(kind: str, members: JsonObject, path: str, turn: Turn) -> None:
    if kind in TEXTS:
        text = members.pop(TEXTS[kind], None)
        if not isinstance(text, str):
            raise InvalidRequest(f"{path}.{TEXTS[kind]}: must be a string.", param=f"{path}.{TEXTS[kind]}")
        turn.content.append(join_surrogates(text))
    elif kind in IMAGE_KINDS and (url := _data_url(members.get(kind))):
        turn.content.append({"type": "image_url", "image_url": {"url": url}})
        members |= _beside_url(members.pop(kind))
    else:
        turn.obstacles.append(Obstacle(path, kind))
        members.pop(kind if kind in MEDIA else "", None)
        members |= {} if kind in MEDIA else {"type": kind}
    _read_fields(members, path, turn)


def _read_fields(members: JsonObject, path: str, turn: Turn) -> None:
    """The rest of a message or of a part: text, but for what has media."""
    for name in MEDIA & members.keys():
        turn.obstacles.append(Obstacle(f"{path}.{name}", name))
        del members[name]
    if members:
        turn.fields.append(join_surrogates(outline(members)))


def _data_url(image: object) -> str:
    """An image that is here, as a `data:` URL: one that is elsewhere may be another when the model looks. "" where there is none."""
    match image:
        case str(url) | {"url": str(url) | {"uri": str(url)}} if url[:5].lower() == "data:":
            return url
        case {"data": str(data)}:
            form = next((form for start, form in IMAGES.items() if data.startswith(start)), "")
            return form and f"data:image/{form};base64,{data}"
        case _:
            return ""


def _beside_url(image: object) -> JsonObject:
    """What an image has but its content; how closely to look is no text."""
    members = to_object(image)
    return {
        name: value
        for name, value in members.items()
        if name not in ("url", "data") and not (name == "detail" and value in ("auto", "low", "high"))
    }
