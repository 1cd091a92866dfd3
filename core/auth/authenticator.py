"""A request's bearer token, to the principal that one of the auth providers vouches for.

Sources: RFC 6750 (bearer tokens, the WWW-Authenticate header), RFC 9110, 11.1 (schemes are case-insensitive).
"""

from collections.abc import Sequence
import re
from typing import Final

from starlette.requests import Request

from core.auth.verifier import MOST_TOKEN_BYTES, Fit, Incoming, Services, Verifier
from core.errors import ApiError, AuthUnavailable, PermissionDenied, Unauthenticated
from core.frame.callers import Principal

TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # token68 of RFC 9110
JWT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
SECRET_HEADERS: Final = frozenset(
    ("authorization", "proxy-authorization", "cookie", "x-api-key", "x-llamastack-provider-data", "x-ogx-provider-data")
)
HOW: Final = "Send one header, Authorization: Bearer TOKEN."


class Authenticator:
    """Chooses auth providers by the shape of the token: the only one that could have issued it, or each in order."""

    def __init__(self, verifiers: Sequence[Verifier], services: Services, *, hands_on: bool = False) -> None:
        """`services` are those of `verifiers`, closed with them. `hands_on`: a provider exchanges the callers' tokens for others."""
        self._hands_on = hands_on
        self._verifiers = tuple(verifiers)
        self._services = services

    async def authenticate(self, request: Request) -> Principal:
        """The caller.

        Raises:
            Unauthenticated: no token, more than one, or none that an auth provider vouches for.
            AuthUnavailable: a provider that might vouch for it could not tell.
            PermissionDenied: it has none of the scopes that its provider wants.
        """
        token = _bearer(request)
        incoming = Incoming(
            token,
            request.scope["path"],  # request.url is made of the Host header
            [(name, value) for name, value in request.headers.items() if name not in SECRET_HEADERS],
            {name: request.query_params.getlist(name) for name in request.query_params},
        )
        failures: list[ApiError] = []
        for verifier in self._fitting(token):
            try:
                return await verifier.verify(incoming)
            except (Unauthenticated, AuthUnavailable, PermissionDenied) as failure:
                failures.append(failure)
        if not failures:
            raise Unauthenticated("The token is not of a kind that this stack accepts.")
        # A provider that could not tell might have accepted the token: 503, which clients retry, comes before 403 and 401.
        raise max(failures, key=lambda failure: failure.status)

    def token_of(self, request: Request) -> str:
        """The token of a request that was authenticated, if it is a JWT and some provider exchanges it; else nothing."""
        if not self._hands_on:
            return ""
        token = _bearer(request)
        return token if JWT.fullmatch(token) else ""

    async def close(self) -> None:
        await self._services.closing.aclose()
        await self._services.http.close()

    def _fitting(self, token: str) -> list[Verifier]:
        if len(token) > MOST_TOKEN_BYTES:
            raise Unauthenticated("The token is too long.")
        if len(self._verifiers) == 1:
            return list(self._verifiers)
        fits = [(verifier.fit(token), verifier) for verifier in self._verifiers]
        best = max((fit for fit, _ in fits), default=Fit.NO)
        return [verifier for fit, verifier in fits if fit == best and fit is not Fit.NO]


def _bearer(request: Request) -> str:
    headers = request.headers.getlist("authorization")
    if not headers:
        raise Unauthenticated(f"There is no token. {HOW}", error="invalid_request")
    if len(headers) > 1:
        raise Unauthenticated(f"There is more than one Authorization header. {HOW}", error="invalid_request")
    scheme, _, token = headers[0].strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not TOKEN.fullmatch(token):
        raise Unauthenticated(f"The Authorization header has no bearer token. {HOW}", error="invalid_request")
    return token
