"""What a response begins with: a prompt that is kept, with values for its variables.

As in OGX, the text is a system message; an image or a file stands in it as `[Image: name]`, and follows as the content of a message of the user.
"""

from collections.abc import Mapping
import re
from typing import Any, Final

from core.apis.response_items import check_part
from core.errors import InvalidRequest, NotFound
from core.frame.callers import Call
from core.frame.types import JsonObject
from core.platform.json_values import is_object
from core.services.parts import Parts
from core.services.prompts.collection import PromptCollection
from core.services.prompts.template import fill

NOUNS: Final = {"input_image": "Image", "input_file": "File"}
TEXT: Final = "input_text"
NUMBER: Final = re.compile(r"[1-9][0-9]{0,5}")


async def resolve_prompt(parts: Parts, call: Call | None, prompt: Mapping[str, Any]) -> list[JsonObject]:
    """The items that come before the input. `prompt` is `{id, version?, variables?}`, as a request has it.

    Raises:
        NotFound: there is no such prompt, or version, for the caller.
        InvalidRequest: it is not of that shape, a variable has no value, or a value is for none.
    """
    prompt_id, number = _read_place(prompt)
    values, media = _read_values(prompt.get("variables"))
    prompts = PromptCollection(parts, call)
    try:
        _, record = await prompts.get(prompt_id)
        version = record.default if number is None else await prompts.version(prompt_id, record, number)
    except NotFound as missing:
        raise NotFound(missing.message, param="prompt") from None
    items = [_message("system", [{"type": TEXT, "text": fill(version.prompt, version.variables, values)}])]
    if media:
        items.append(_message("user", media))
    return items


def _message(role: str, content: list[JsonObject]) -> JsonObject:
    return {"type": "message", "role": role, "content": content}


def _read_place(prompt: Mapping[str, Any]) -> tuple[str, int | None]:
    prompt_id, version = prompt.get("id"), prompt.get("version")
    if not isinstance(prompt_id, str):
        raise InvalidRequest("prompt.id: give the id of a prompt, as POST /v1/prompts answered it.", param="prompt.id")
    if version is None:
        return prompt_id, None
    if isinstance(version, bool) or not NUMBER.fullmatch(str(version)):
        raise InvalidRequest("prompt.version: it is a number from 1, as a text or as it is.", param="prompt.version")
    return prompt_id, int(version)


def _read_values(variables: object) -> tuple[dict[str, str], list[JsonObject]]:
    """What stands in the text for each variable, and the images and files among them."""
    if variables is None:
        return {}, []
    if not is_object(variables):
        raise InvalidRequest(
            "prompt.variables: it is an object, of a value for each variable.", param="prompt.variables"
        )
    values, media = dict[str, str](), list[JsonObject]()
    for name, value in variables.items():
        match value:
            case str():
                values[name] = value
            case {"type": "input_text", "text": str(text)}:
                values[name] = text
            case {"type": "input_image" | "input_file" as kind}:
                check_part(value, f"prompt.variables.{name[:100]}")
                values[name] = f"[{NOUNS[kind]}: {name}]"
                media.append(value)
            case _:
                path = f"prompt.variables.{name[:100]}"
                raise InvalidRequest(
                    f"{path}: it is a text, or an object whose `type` is input_text, input_image or input_file.",
                    param=path,
                )
    return values, media
