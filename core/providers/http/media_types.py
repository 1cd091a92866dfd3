"""What an image is by its first bytes: labels are often missing or wrong. Pure."""

from collections.abc import Mapping
import re
from typing import Final

IMAGES: Final[Mapping[str, re.Pattern[bytes]]] = {
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "jpeg": re.compile(rb"\xff\xd8\xff"),
    "gif": re.compile(rb"GIF8[79]a"),
    "webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}


def image_kind(content: bytes) -> str:
    """Its key in IMAGES; "" for anything else."""
    return next((kind for kind, start in IMAGES.items() if start.match(content)), "")
