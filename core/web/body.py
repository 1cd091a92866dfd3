"""Request bodies: read up to a limit, then validated, with errors that name the field."""

from pydantic import ValidationError
from starlette.requests import Request

from core.errors import BodyTooLarge, InvalidRequest
from core.frame.types import Wire


async def read(request: Request, limit: int) -> bytes:
    """The whole body.

    Raises:
        BodyTooLarge: it has, or says it has, more than `limit` bytes.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise BodyTooLarge(limit)
    body = b""
    async for chunk in request.stream():
        body = body + chunk if body else chunk
        if len(body) > limit:
            raise BodyTooLarge(limit)
    return body


def parse[W: Wire](kind: type[W], body: bytes) -> W:
    """`body` as `kind`.

    Raises:
        InvalidRequest: it is not JSON, or a field is missing or of the wrong type; `param` names it.
    """
    if not body.strip():
        raise InvalidRequest("The request has no body; send a JSON object.")
    try:
        return kind.model_validate_json(body)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False, include_input=False)
    if errors[0]["type"] == "json_invalid":
        raise InvalidRequest(f"The body is not valid JSON: {errors[0]['msg'].removeprefix('Invalid JSON: ')}.")
    faults = {_path(error["loc"]): error["msg"].removeprefix("Value error, ") for error in errors}
    message = "; ".join(f"{path}: {text}" if path else text for path, text in faults.items())
    raise InvalidRequest(message, param=next(iter(faults)) or None)


def _path(loc: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc if part != "str")
    return text.removeprefix(".")
