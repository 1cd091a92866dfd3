"""The page at `/` and `/docs`: the OpenAPI document, drawn by a script of its own. It holds nothing of the stack.

One file without anything from elsewhere; its policy (https://www.w3.org/TR/CSP3/) lets no other script and no other style run.
"""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.web.observed import observed_of

PATHS: Final = ("/", "/docs")
BLOCK: Final = re.compile(r"<(style|script)>")


def routes() -> list[Route]:
    """One for each of PATHS; open, as the page holds nothing."""
    return [Route(path, _show) for path in PATHS]


async def _show(request: Request) -> Response:
    observed = observed_of(request.scope)
    observed.api, observed.operation = "admin", "docs"
    content, headers = _page()
    return Response(content, media_type="text/html", headers=headers)


@cache
def _page() -> tuple[str, dict[str, str]]:
    text = Path(__file__).with_name("pages.html").read_text("utf-8")
    sources = {match[1]: _hash(text[match.end() : text.index(f"</{match[1]}>")]) for match in BLOCK.finditer(text)}
    policy = (
        f"default-src 'none'; script-src {sources['script']}; style-src {sources['style']}; img-src data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text, {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }


def _hash(block: str) -> str:
    return f"'sha256-{b64encode(sha256(block.encode()).digest()).decode()}'"
