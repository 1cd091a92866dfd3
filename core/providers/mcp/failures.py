"""What goes wrong with a server, as the caller is told it and as the log is: nothing of its own words but the code of a challenge.

Who named the place itself reads the same of an address that is refused as of one where nobody answers: else it could learn what is there.
"""

from collections.abc import Generator
from contextlib import contextmanager
import logging
from typing import Final

from core.errors import (
    ApiError,
    NotFound,
    ProviderUnavailable,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
)
from core.providers.http.guarded import RedirectRefused
from core.providers.http.upstream_errors import clean_message
from core.providers.mcp.discovery import read_challenge, word_of
from core.providers.mcp.transport import Server
from core.providers.mcp.wire import Denied, Refusal, RpcError, Unusable

THROTTLED: Final = 429
LATE: Final = frozenset({408, 504})
BUSY: Final = frozenset({502, 503})
OF_REDIRECTS: Final = range(300, 400)
UNREACHABLE: Final = "cannot be reached, or connecting to it is not allowed"
REDIRECTS: Final = "redirects to another place, which is not followed: name the URL that it redirects to"
OF_PROTOCOL: Final = (Denied, RpcError, Refusal, Unusable, RedirectRefused)

log = logging.getLogger(__name__)


@contextmanager
def translated(server: Server, provider_id: str) -> Generator[None]:
    """Whatever happens inside leaves as an ApiError; what an upstream said, only the log has."""
    from aiohttp import ClientError

    try:
        yield
    except (*OF_PROTOCOL, ClientError, OSError, ValueError) as failure:
        raised, reason = _meaning(server, failure)
        raise _log(raised, provider_id, reason) from failure


def _meaning(server: Server, failure: Exception) -> tuple[ApiError, str]:
    """What the caller is told, and the log."""
    match failure:
        case Denied() | Refusal():
            raised = denial(server, failure) if isinstance(failure, Denied) else _refusal(server, failure)
            return raised, f"HTTP status {failure.status}"
        case RpcError():
            return server.failure(f"answered with error {failure.code}"), _words(server, failure)
        case Unusable() | RedirectRefused():
            reason = str(failure) if isinstance(failure, Unusable) else REDIRECTS
            return server.failure(reason), reason
        case TimeoutError() if not is_unconnected(failure):
            return UpstreamTimeout(f"The MCP server of {server.name} did not answer in time."), "nothing came in time"
        case _:
            return _broken(server, failure), type(failure).__name__


def denial(server: Server, denied: Denied) -> UpstreamFailed:
    """Never the caller's own 401 or 403: it says whose credentials were refused."""
    code = word_of(read_challenge(denied.challenge).get("error"))
    source = server.credentials.source
    whose = f"the credentials given as {source}" if source else "the stack's credentials"
    if not source and not server.key.trusted:
        whose = "a call without credentials: give them as `authorization`, or as the provider data `mcp_headers`"
    return UpstreamFailed(
        f"The MCP server of {server.name} refused {whose} (HTTP {denied.status}{f', {code}' if code else ''}).",
        unauthorized=denied.status == 401,  # noqa: PLR2004 - HTTP
    )


def no_tool(server: Server, tool: str) -> NotFound:
    return NotFound(f"The MCP server of {server.name} has no tool `{tool}`. List its tools again.")


def _words(server: Server, error: RpcError) -> str:
    """What it says, for people: on one line, cut, without what looks like a key."""
    return clean_message(error.message, server.credentials.confidential) or f"error {error.code}"


def _refusal(server: Server, refusal: Refusal) -> ApiError:
    status = refusal.status
    if status == THROTTLED:
        return UpstreamThrottled(
            f"The MCP server of {server.name} is throttling. Try again later.", headers=refusal.retry_after
        )
    if status in LATE:
        return UpstreamTimeout(f"The MCP server of {server.name} did not answer in time.")
    if status in OF_REDIRECTS:
        return server.failure("redirects without saying where")
    failure = server.failure(f"answered with HTTP status {status}: check that its URL is that of an MCP server")
    failure.headers |= refusal.retry_after if status in BUSY else {}
    return failure


def _broken(server: Server, failure: Exception) -> ApiError:
    if is_unconnected(failure):
        if not server.key.trusted:
            return ProviderUnavailable(f"The MCP server of {server.name} {UNREACHABLE}.")
        return ProviderUnavailable(
            f"The MCP server of {server.name} could not be reached; check that it is up and that its URL is right."
        )
    return server.failure("broke off its answer" if server.key.trusted else UNREACHABLE)


def is_unconnected(failure: Exception) -> bool:
    """Whether no connection came about."""
    from aiohttp import ClientConnectorError, ConnectionTimeoutError

    return isinstance(failure, ConnectionTimeoutError | ClientConnectorError | PermissionError)


def _log[Failure: ApiError](failure: Failure, provider_id: str, reason: str) -> Failure:
    log.warning(
        "provider %s: %s",
        provider_id,
        reason,
        extra={"provider": provider_id, "error_code": failure.code, "reason": reason},
    )
    failure.reason = reason
    return failure
