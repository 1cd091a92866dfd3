"""Who calls, and what they bring for providers: a refused caller costs nothing further."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from starlette.requests import Request
from starlette.responses import Response

from core.errors import ApiError, InvalidRequest, Unauthenticated
from core.frame.callers import ANONYMOUS, PROVIDER_DATA_HEADERS, ActingFor, Call
from core.platform.json_reader import read_object
from core.web.exchange import Exchange, Handler
from core.web.failures import attempt, error_response
from core.web.observed import CALL, observed_of

if TYPE_CHECKING:
    from core.auth.authenticator import Authenticator
    from core.quota.naming import CallerNaming

MOST_PROVIDER_DATA: Final = 8 * 1024  # bytes
DATA_HEADER_NAMES: Final = frozenset(name.lower().encode() for name in PROVIDER_DATA_HEADERS)


@dataclass(frozen=True, slots=True)
class AuthenticationMiddleware:
    """Without an authenticator every caller is anonymous. `metadata` is the path that a 401 names, "" for none.

    `naming` says who calls in the line of the request and its metrics; without it nothing does.
    """

    authenticator: "Authenticator | None" = None
    metadata: str = ""
    naming: "CallerNaming | None" = None

    async def __call__(self, exchange: Exchange, handle: Handler) -> Response:
        """Answer 401 or 403, or hand on with the caller's `call`."""
        call = await attempt(self._identify(exchange), exchange.until)
        if isinstance(call, ApiError):
            if self.metadata and isinstance(call, Unauthenticated):
                from core.web.messages import name_metadata

                name_metadata(call, exchange.request.scope, self.metadata)
            return error_response(call)
        exchange.call = exchange.request.scope[CALL] = call
        with ActingFor(call):
            return await handle(exchange)

    async def _identify(self, exchange: Exchange) -> Call:
        request, client = exchange.request, exchange.request.client
        source = "" if client is None else client.host
        principal = ANONYMOUS if self.authenticator is None else await self.authenticator.authenticate(request)
        token = "" if self.authenticator is None else self.authenticator.token_of(request)
        observed, data = observed_of(request.scope), _provider_data(request)
        if self.naming is not None:
            self.naming.note(observed, principal)
        return Call(principal, source, provider_data=data, observed=observed, until=exchange.until, token=token)


def _provider_data(request: Request) -> dict[str, Any]:
    """What the caller brings for providers, of the first header that has any; no message may quote it, nor an error chain hold it."""
    if DATA_HEADER_NAMES.isdisjoint([name for name, _ in request.scope["headers"]]):  # as nearly always
        return {}
    for name in PROVIDER_DATA_HEADERS:
        value = request.headers.get(name, "").strip().encode("latin-1")
        if value and (data := _without_blanks(_read_provider_data(name, value))):
            return data
    return {}


def _read_provider_data(name: str, value: bytes) -> dict[str, Any]:
    if len(value) > MOST_PROVIDER_DATA:
        raise InvalidRequest(f"Header {name} is larger than {MOST_PROVIDER_DATA} bytes.")
    try:
        data = {} if value == b"null" else read_object(value)
    except ValueError:
        data = None
    if data is None:  # raised out here, so that the reader's failure is not its context
        raise InvalidRequest(f"Header {name} must be a JSON object.")
    return data


def _without_blanks(data: dict[str, Any]) -> dict[str, Any]:
    """Llama Stack's own command line and web page send an empty key for every vendor whose key is not set."""
    return {
        name: value for name, value in ((name, _drop_blank(value)) for name, value in data.items()) if value is not None
    }


def _drop_blank(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """None for what brings nothing."""
    if isinstance(value, dict):
        return _without_blanks(cast("dict[str, Any]", value)) or None
    return value if not isinstance(value, str) or value.strip() else None
