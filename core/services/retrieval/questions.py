"""What is searched for, of the content that a caller gives: its texts, or what a model makes of them.

The reference's template for the model is Jinja's, which a caller could have run for ever: of it, what prints `messages` is understood.
"""

from collections.abc import Sequence
import re
from typing import Final, cast

from core.apis.inference import ChatRequest, Inference
from core.apis.rag import QueryGenerator
from core.apis.vector_stores import MOST_QUERY
from core.errors import InvalidRequest, NotFound, shorten
from core.frame.callers import Call
from core.platform.json_values import is_list, to_object
from core.services.parts import Parts, surface_for
from core.services.vector_stores.native import text_of

MOST_PROMPT: Final = 1_000_000  # characters
PATH: Final = "query_config.query_generator_config"
TEMPLATE: Final = f"{PATH}.template"
UNKNOWN: Final = (
    "The template has more in it than is understood here, which is `{{ messages }}`, `{{ messages[0] }}`, `{{ messages[-1] }}`, and "
    "`{% for message in messages %}...{{ message }}...{% endfor %}`."
)
SIGNS: Final = ("{{", "}}", "{%", "%}", "{#")
_TAG: Final = re.compile(r"(\{%-?)\s*(?:for\s+([a-z_]\w*)\s+in\s+messages|(endfor))\s*(-?%\})")
_PLACE: Final = re.compile(r"\{\{\s*([a-z_]\w*)(?:\[(-?\d{1,4})\])?\s*\}\}")


def texts_of(content: object, path: str) -> list[str]:
    """The texts of interleaved content, without its images; raises InvalidRequest for what is no such content."""
    if not is_list(content):
        return [text_of(content, path)]
    texts = [text_of(item, f"{path}[{place}]") for place, item in enumerate(content)]
    return [text for text in texts if text]


async def question_of(parts: Parts, call: Call | None, generator: QueryGenerator, texts: Sequence[str]) -> str:
    """What to search for; the texts themselves where the model answers nothing.

    Raises:
        InvalidRequest: there is no such model, or its template cannot be read.
    """
    plain = generator.separator.join(texts)
    if generator.type == "default":
        return plain
    model, prompt = generator.model or "", render(generator.template or "", texts)
    inference = cast("Inference | None", surface_for(parts, "inference", call))
    request = ChatRequest.model_validate({"model": model, "messages": [{"role": "user", "content": prompt}]})
    try:
        answer = {} if inference is None else await inference.chat_completion(request)
    except NotFound:
        raise InvalidRequest(
            f"The model `{shorten(model, 64)}` of the query generator is not there, or you may not use it.",
            param=f"{PATH}.model",
        ) from None
    choices = answer.get("choices")
    reply = to_object(to_object(choices[0]).get("message")).get("content") if choices else None
    return (reply.strip()[:MOST_QUERY] if isinstance(reply, str) else "") or plain


def render(template: str, messages: Sequence[str]) -> str:
    """The template of a query generator with the messages in it.

    >>> render("{% for m in messages %}{{ m }}; {% endfor %}{{ messages[-1] }}?", ["a", "{{ b }}"])
    'a; {{ b }}; {{ b }}?'
    """
    pieces: list[str] = []
    loop = ""  # the name of its variable, where one is open
    parts = _TAG.split(template)  # texts, and between them the four groups of a tag
    for place in range(0, len(parts), 5):
        text, is_last = parts[place], place == len(parts) - 1
        text = text.lstrip() if place and parts[place - 1].startswith("-") else text
        text = text if is_last or not parts[place + 1].endswith("-") else text.rstrip()
        pieces.append(_print(text, loop, messages))
        _check_size(sum(map(len, pieces)))
        if not is_last:
            name, end = parts[place + 2], parts[place + 3]
            if bool(end) != bool(loop):
                raise _unknown()
            loop = name or ""
    if loop:
        raise _unknown()
    return "".join(pieces)


def _print(text: str, loop: str, messages: Sequence[str]) -> str:
    """A piece of the template; inside of a `loop`, once for each message."""
    literals = _PLACE.split(text)  # and between them a name and a number
    if any(sign in literal for literal in literals[::3] for sign in SIGNS):
        raise _unknown()
    rounds = [[message] for message in messages] if loop else [list(messages)]
    printed: list[str] = []
    size = 0
    for values in rounds:
        texts = [_value(*place, loop, values) for place in zip(literals[1::3], literals[2::3], strict=True)]
        size += sum(map(len, literals[::3])) + sum(map(len, texts))
        _check_size(size)
        printed += [piece for pair in zip(literals[::3], [*texts, ""], strict=True) for piece in pair]
    return "".join(printed)


def _value(name: str, number: str | None, loop: str, values: Sequence[str]) -> str:
    if name != (loop or "messages") or (loop and number is not None):
        raise _unknown()
    if loop:
        return values[0]
    if number is None:
        return str(list(values))
    try:
        return values[int(number)]
    except IndexError:
        return ""


def _unknown() -> InvalidRequest:
    return InvalidRequest(UNKNOWN, param=TEMPLATE)


def _check_size(size: int) -> None:
    if size > MOST_PROMPT:
        raise InvalidRequest(
            f"The template with the content in it has more than {MOST_PROMPT:,} characters.", param=TEMPLATE
        )
