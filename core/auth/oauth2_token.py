"""oauth2_token: tokens of any OAuth 2 or OpenID issuer, checked with its keys or by asking it.

Source: OAuth2TokenAuthConfig of Llama Stack 0.2.12.
"""

from functools import partial
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from core.auth.claims import (
    DEFAULT_MAPPING,
    Claims,
    ClaimsMapping,
    Scopes,
    check_audience,
    check_scopes,
    issuer_of,
    principal,
)
from core.auth.endpoint import Endpoint
from core.auth.urls import AuthUrl, has_path
from core.auth.verifier import Services, Verifier
from core.config.records import Record, Text, UserPath, Whole
from core.frame.callers import Principal
from core.platform.secrets import is_reference, parse

NEITHER: Final = "One of jwks or introspection must be configured"
BOTH: Final = "At present only one of jwks or introspection should be configured"


def _check_reference(secret: SecretStr) -> SecretStr:
    if is_reference(secret.get_secret_value()):
        parse(secret.get_secret_value())
    return secret


def _refuse_reference(secret: SecretStr) -> SecretStr:
    if is_reference(secret.get_secret_value()):
        raise ValueError("is not read by reference; give the token itself, or use introspection")
    return secret


class Jwks(Record):
    """`uri` without a path is an issuer with a discovery document; `token` is sent to its origin as a bearer token."""

    uri: AuthUrl
    token: Annotated[SecretStr, AfterValidator(_refuse_reference)] | None = None
    key_recheck_period: Annotated[Whole, Field(ge=1)] = 3600
    verify_tls: bool | None = None
    tls_cafile: UserPath | None = None


class Introspection(Record):
    url: AuthUrl
    client_id: Text
    client_secret: Annotated[SecretStr, AfterValidator(_check_reference)]
    send_secret_in_body: bool = False


class Config(Record):
    """The TLS settings are for both ways; `jwks` may have its own."""

    jwks: Jwks | None = None
    introspection: Introspection | None = None
    issuer: Text | None = None
    audience: Text = "llama-stack"
    required_scopes: Scopes = ()
    verify_tls: bool = True
    tls_cafile: UserPath | None = None
    claims_mapping: ClaimsMapping = Field(default_factory=lambda: dict(DEFAULT_MAPPING))

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.jwks is None and self.introspection is None:
            raise ValueError(NEITHER)
        if self.jwks is not None and self.introspection is not None:
            raise ValueError(BOTH)
        return self

    @property
    def vouched_by(self) -> str | None:
        """None where the run config names no issuer: then it follows from each token."""
        return None if self.issuer is None else f"oauth2_token {self.issuer}"

    @property
    def issuer_url(self) -> str | None:
        """None where the issuer is no URL, or not named."""
        place = None if self.jwks is None or has_path(self.jwks.uri) else self.jwks.uri
        url = self.issuer or place
        return url if url is not None and url.startswith(("https://", "http://")) else None

    def principal(self, claims: Claims, place: str) -> Principal:
        """Whoever they are about. `place` tells issuers apart that the run config does not name: see `issuer_of`."""
        vouched_by = self.vouched_by or f"oauth2_token {issuer_of(claims, place)}"
        private = "claims_mapping" not in self.model_fields_set
        caller = principal(claims, self.claims_mapping, vouched_by, private=private)
        check_scopes(caller, self.required_scopes)
        return caller


def connect(config: Config, services: Services) -> Verifier:
    """The way that is configured; the other one's libraries are not imported."""
    if config.jwks is not None:
        return _connect_keys(config, config.jwks, services)
    if config.introspection is not None:
        return _connect_introspection(config, config.introspection, services)
    raise AssertionError(NEITHER)


def _connect_keys(config: Config, jwks: Jwks, services: Services) -> Verifier:
    from core.auth.jwks import keys_from_discovery, keys_from_url
    from core.auth.jwt_verifier import JwtVerifier
    from core.auth.keys import KeySet

    verify_tls = config.verify_tls if jwks.verify_tls is None else jwks.verify_tls
    endpoint = Endpoint(services.http, verify_tls=verify_tls, tls_cafile=jwks.tls_cafile or config.tls_cafile)
    token = jwks.token.get_secret_value() if jwks.token is not None else None
    source = keys_from_url if has_path(jwks.uri) else keys_from_discovery
    keys = KeySet(source(endpoint, jwks.uri, token), recheck=jwks.key_recheck_period)
    services.closing.push_async_callback(keys.close)
    return JwtVerifier(keys, partial(_accept, config, jwks.uri), issuer=config.issuer)


def _accept(config: Config, place: str, claims: Claims) -> Principal:
    check_audience(claims, config.audience)
    return config.principal(claims, place)


def _connect_introspection(config: Config, introspection: Introspection, services: Services) -> Verifier:
    from core.auth.introspection import ClientCredentials, Expected, IntrospectionVerifier

    client = ClientCredentials(
        introspection.client_id, introspection.client_secret, in_body=introspection.send_secret_in_body
    )
    audience = config.audience if "audience" in config.model_fields_set else None
    accept = partial(config.principal, place=introspection.url)
    endpoint = Endpoint(services.http, verify_tls=config.verify_tls, tls_cafile=config.tls_cafile)
    return IntrospectionVerifier(endpoint, introspection.url, client, Expected(config.issuer, audience, accept))
