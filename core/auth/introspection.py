"""Tokens that the authorization server is asked about, one request each: RFC 7662."""

from collections.abc import Callable
from dataclasses import dataclass
from time import time
from typing import Any
from urllib.parse import quote_plus

from pydantic import SecretStr

from core.auth.claims import Claims, check_audience, check_issuer, check_kind, check_times
from core.auth.endpoint import Endpoint, unusable
from core.auth.http import Reply
from core.auth.verifier import Fit, Incoming
from core.errors import AuthUnavailable, ProviderUnavailable, Unauthenticated
from core.frame.callers import Principal
from core.platform.json_values import to_object
from core.platform.secrets import renew, reveal


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """This stack's own credentials at the authorization server; `secret` may be a reference of one."""

    id: str
    secret: SecretStr
    in_body: bool = False

    def options(self, token: str, secret: str) -> dict[str, Any]:
        """Of an HTTP request: RFC 6749, 2.3.1, whose Basic credentials are form-encoded first."""
        if self.in_body:
            return {"data": {"token": token, "client_id": self.id, "client_secret": secret}}
        from aiohttp import encode_basic_auth

        basic = encode_basic_auth(quote_plus(self.id), quote_plus(secret))
        return {"data": {"token": token}, "headers": {"authorization": basic}}


@dataclass(frozen=True, slots=True)
class Expected:
    """`issuer` and `audience` are checked unless they are None, or the answer does not have them; then `accept` decides."""

    issuer: str | None
    audience: str | None
    accept: Callable[[Claims], Principal]


class IntrospectionVerifier:
    def __init__(self, endpoint: Endpoint, url: str, client: ClientCredentials, expected: Expected) -> None:
        self._endpoint = endpoint
        self._url = url
        self._client = client
        self._expected = expected

    def fit(self, token: str) -> Fit:
        """Only the server knows what its tokens look like."""
        del token
        return Fit.MAYBE

    async def verify(self, incoming: Incoming) -> Principal:
        reply = await self._ask(incoming.token)
        body = to_object(reply.body)
        active = body.get("active")
        if reply.status != 200 or not isinstance(active, bool):  # noqa: PLR2004
            raise unusable(self._url, f"answered {reply.status} to an introspection")
        if not active:
            raise Unauthenticated("The token is not active. Get a new one.")
        self._check(body)
        return self._expected.accept(body)

    async def _ask(self, token: str) -> Reply:
        """The server's answer; where it does not know us any more, to the secret that has been put in place since."""
        try:
            secret = await reveal(self._client.secret.get_secret_value())
            reply = await self._endpoint.request("POST", self._url, **self._client.options(token, secret))
            new = await renew(self._client.secret.get_secret_value(), secret) if reply.status == 401 else None  # noqa: PLR2004
        except ProviderUnavailable as failure:
            raise AuthUnavailable(failure.message) from failure
        if new is None:
            return reply
        return await self._endpoint.request("POST", self._url, **self._client.options(token, new))

    def _check(self, claims: Claims) -> None:
        check_kind(claims)
        check_times(claims, time(), expires=False)
        if "iss" in claims:
            check_issuer(claims, self._expected.issuer)
        if "aud" in claims and self._expected.audience is not None:
            check_audience(claims, self._expected.audience)
