"""Headers that callers bring for a server: which they may not set, and how they are read."""

from collections.abc import Mapping
import re
from typing import Any, Final

from core.errors import InvalidRequest
from core.platform.json_values import is_object

RESERVED: Final = re.compile(
    r"mcp-.*|llambda-.*|accept|accept-encoding|connection|content-.*|cookie2|expect|forwarded|host|keep-alive|last-event-id|proxy-.*|t[e]|trailer"
    r"|transfer-encoding|upgrade|via|x-forwarded-.*",
    re.IGNORECASE,
)
"""What the client itself, or what is between it and the server, says of a request."""
NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]{0,8190}[\x21-\x7e])?")
TOKEN: Final = re.compile(r"[\x21-\x7e]{1,8192}")
MOST_HEADERS: Final = 32


def read_headers(value: Any, param: str) -> dict[str, str]:  # noqa: ANN401 - whatever a caller sent
    """Raises InvalidRequest, which names no value."""
    if not is_object(value):
        raise InvalidRequest(f"{param}: must be an object of headers and their values.", param=param)
    if len(value) > MOST_HEADERS:
        raise InvalidRequest(f"{param}: has more than {MOST_HEADERS} headers.", param=param)
    for name, text in value.items():
        if not NAME.fullmatch(name) or RESERVED.fullmatch(name):
            raise InvalidRequest(f"{param}: has a header that may not be set for an MCP server.", param=param)
        if not isinstance(text, str) or not VALUE.fullmatch(text):
            raise InvalidRequest(f"{param}: the value of a header is no text that a header can carry.", param=param)
    return dict(value)


def bearer(token: str) -> dict[str, str]:
    """Raises InvalidRequest for what no header can carry."""
    if not TOKEN.fullmatch(token):
        param = "authorization"
        raise InvalidRequest(f"{param}: must be a token, without `Bearer ` and without blanks.", param=param)
    return {"authorization": f"Bearer {token}"}


def merge(headers: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Both, by name in whatever case; raises InvalidRequest for a header of both."""
    merged = {name.lower(): value for name, value in headers.items()}
    for name, value in more.items():
        if name.lower() in merged:
            raise InvalidRequest(
                f"`{name.lower()}` is given twice for this MCP server: in the provider data `mcp_headers` and with the call. Give it once."
            )
        merged[name.lower()] = value
    return merged
