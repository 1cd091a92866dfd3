"""The text of a message's content, which is OpenAI's or 0.2's: a string, or parts of which some are text."""

from typing import cast

from core.errors import InvalidRequest


def plain_text(content: object, image: str | None = None) -> str:
    """All of its texts, with a blank between them; `image` stands for each image.

    Raises:
        InvalidRequest: there is something else, or an image and nothing that stands for it.
    """
    if not isinstance(content, list):
        return _part(content, image)
    return " ".join(_part(part, image) for part in cast("list[object]", content))


def _part(part: object, image: str | None) -> str:
    match part:
        case str(text) | {"type": "text", "text": str(text)}:
            return text
        case {"type": "image" | "image_url"} if image is not None:
            return image
        case None:
            return ""
        case _:
            raise InvalidRequest("A message has content that a shield cannot judge.", param="messages")
