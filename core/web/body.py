"""Request bodies, read up to a limit; queries and forms, validated with errors that name the field."""

from collections.abc import Iterable
from functools import cache
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import ValidationError
from starlette.requests import Request

from core.apis.parsing import refusal_of
from core.errors import BodyTooLarge
from core.frame.types import Wire
from core.web.headers import header_values

LONGEST_LENGTH: Final = 18  # digits


async def read(request: Request, limit: int) -> bytes:
    """The whole body, inflated where it came compressed.

    Raises:
        BodyTooLarge: it has, or says it has, more than `limit` bytes, as it came or inflated.
        UnsupportedMediaType: it is compressed in a way that is not taken.
        InvalidRequest: it is not compressed as it says.
    """
    if declares_more(request, limit):
        raise BodyTooLarge(limit)
    inflate = None
    if (coding := content_coding(request)) is not None:
        from core.web.content_encodings import inflater_of

        inflate = inflater_of(coding, limit)
    chunks: list[bytes] = []
    remaining = limit
    async for chunk in request.stream():
        remaining -= len(chunk)
        if remaining < 0:
            raise BodyTooLarge(limit)
        chunks.append(chunk if inflate is None else inflate(chunk))
    if inflate is not None:
        inflate.end()
    return b"".join(chunks)  # once: a body in a million pieces would be copied a million times


def content_coding(request: Request) -> str | None:
    """How the body says that it is compressed; None where it is not."""
    coding = ", ".join(header_values(request.scope, b"content-encoding")).strip()
    return None if coding.lower() in {"", "identity"} else coding


def declares_more(request: Request, limit: int) -> bool:
    """Whether the request's own word on its length is more than `limit` bytes; that it is less is not believed."""
    lengths = header_values(request.scope, b"content-length")
    declared = lengths[0] if lengths else ""
    return declared.isdecimal() and (len(declared) > LONGEST_LENGTH or int(declared) > limit)


def parse_texts[W: Wire](kind: type[W], pairs: Iterable[tuple[str, str]]) -> W:
    """The names and texts of a query or a form as `kind`: `name[]` and what is repeated as lists, `name[key]` as objects.

    Of a name that is no list's, the last text counts. Raises InvalidRequest, as `core.apis.parsing.parse` does.
    """
    lists = _list_fields(kind)
    values: dict[str, Any] = {}
    for name, text in pairs:
        base, bracket, key = name.partition("[")
        key = key.removesuffix("]")
        if base in lists and not key:
            values.setdefault(base, []).append(text)
        elif bracket and key and isinstance(values.setdefault(base, {}), dict):
            values[base][key] = text
        else:
            values[name] = text
    try:
        return kind.model_validate(values, strict=False)  # "10" is a whole number here
    except ValidationError as invalid:
        raise refusal_of(invalid) from None


@cache
def _list_fields(kind: type[Wire]) -> frozenset[str]:
    return frozenset(name for name, field in kind.model_fields.items() if _has_list(field.annotation))


def _has_list(annotation: object) -> bool:
    return get_origin(annotation) in {list, tuple} or (
        get_origin(annotation) not in {dict, Literal} and any(map(_has_list, get_args(annotation)))
    )
