"""A request's JSON as its type, with a refusal that names the fields which are wrong: the same for whoever sent it, and however."""

from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from core.errors import InvalidRequest, shorten
from core.frame.forms import MESSAGES, OTHER
from core.frame.types import Wire

MOST_FAULTS: Final = 5  # that one refusal tells of
MOST_TEXT: Final = 300  # characters of each
MOST_KEY: Final = 64  # characters of a key, in the path of a fault


def parse[W: Wire](kind: type[W], body: bytes) -> W:
    """`body` as `kind`.

    Raises:
        InvalidRequest: it is not JSON, or a field is missing, or not what it may be; `param` names it.
    """
    if not body.strip():
        raise InvalidRequest("The request has no body; send a JSON object.")
    try:
        request = kind.model_validate_json(body)
    except ValidationError as invalid:
        raise refusal_of(invalid) from None
    request.check_body()
    return request


def refusal_of(invalid: ValidationError) -> InvalidRequest:
    errors = invalid.errors(include_url=False, include_input=False)
    if errors[0]["type"] == "json_invalid":
        return InvalidRequest(f"The body is not valid JSON: {errors[0]['msg'].removeprefix('Invalid JSON: ')}.")
    faults = {_path(error["loc"]): _message(error) for error in errors[:MOST_FAULTS]}
    texts = [f"{path}: {text}" if path else text for path, text in faults.items()]
    further = [f"and {len(errors) - MOST_FAULTS} more"] if len(errors) > MOST_FAULTS else []
    return InvalidRequest(
        "; ".join([*(shorten(text, MOST_TEXT) for text in texts), *further]), param=next(iter(faults)) or None
    )


def _message(error: ErrorDetails) -> str:
    if error["type"] == "model_type":  # of a form or a query alone: JSON is told that it is no object
        return f"Input should be an object: send its fields as {_path(error['loc'])}[FIELD]"
    if error["type"] == "string_pattern_mismatch":  # not the pattern: who reads this writes no patterns
        return MESSAGES.get(error.get("ctx", {}).get("pattern", ""), OTHER)
    return error["msg"].removeprefix("Value error, ")


def _path(loc: tuple[int | str, ...]) -> str:
    """With the names of a caller's own keys, which are cut."""
    text = "".join(
        f"[{part}]" if isinstance(part, int) else f".{shorten(part, MOST_KEY)}" for part in loc if part != "str"
    )
    return text.removeprefix(".")
