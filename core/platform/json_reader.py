"""JSON that came from outside, read by one set of rules: those of RFC 8259, and what UTF-8 cannot hold is refused.

NaN and Infinity, lone surrogates and more than 200 levels are errors. Of members that repeat, the last counts.
"""

from typing import Any, cast

from pydantic_core import from_json


def read_json(content: bytes | str, *, allow_nan: bool = False) -> Any:  # noqa: ANN401 - whatever was sent
    """Raises ValueError. With `allow_nan`, NaN and Infinity are read: servers in Python send them."""
    # A lone surrogate in text makes from_json raise TypeError, and encode a ValueError.
    return from_json(content.encode() if isinstance(content, str) else content, allow_inf_nan=allow_nan)


def read_object(content: bytes | str, *, allow_nan: bool = False) -> dict[str, Any]:
    """Raises ValueError if it is not JSON, or not an object."""
    value = read_json(content, allow_nan=allow_nan)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - callers tell one kind of failure from success
    return cast("dict[str, Any]", value)
