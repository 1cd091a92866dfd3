"""Bodies are JSON, and say so: what a web page can send without asking first never does (the types of HTML's forms)."""

from dataclasses import dataclass
import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from core.errors import ApiError, UnsupportedMediaType
from core.web.exchange import Exchange, Handler
from core.web.failures import attempt, error_response
from core.web.headers import header_values

JSON: Final = re.compile(r"application/(?:json|[a-z0-9][a-z0-9!#$&^_.+-]*\+json)[ \t]*(?:;.*)?", re.IGNORECASE)
SHOWN: Final = re.compile(r"[!-~]{1,80}")


@dataclass(frozen=True, slots=True)
class JsonMiddleware:
    """`has_body` is an operation that reads one; of another, a body that is not JSON is refused as well."""

    has_body: bool

    async def __call__(self, exchange: Exchange, handle: Handler) -> Response:
        """Answer 415, or hand on."""
        request = exchange.request
        if is_json(request):
            return await handle(exchange)
        types = request.headers.getlist("content-type")
        if types:
            is_refused = self.has_body or request.headers.get("content-length") != "0"
        elif self.has_body:
            content = await attempt(exchange.content(), exchange.until)
            if isinstance(content, ApiError):
                return error_response(content)
            is_refused = bool(content)
        else:
            is_refused = False
        return error_response(_not_json(types)) if is_refused else await handle(exchange)


def is_json(request: Request) -> bool:
    """Whether the body says, once, that it is JSON."""
    types = header_values(request.scope, b"content-type")
    return len(types) == 1 and JSON.fullmatch(types[0]) is not None


def _not_json(types: list[str]) -> UnsupportedMediaType:
    name = types[0].partition(";")[0].strip() if len(types) == 1 else ""
    came = f"It came as {name}" if SHOWN.fullmatch(name) else "It came without one such header"
    option = "use -d rather than -F, and" if name == "multipart/form-data" else "which sends forms,"
    return UnsupportedMediaType(
        f"The body must be JSON, with the header `content-type: application/json`. {came}; for curl, {option}"
        " add -H 'content-type: application/json'."
    )
