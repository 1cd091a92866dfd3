"""cognito: the access or ID tokens of an Amazon Cognito user pool.

Source: "Verifying JSON web tokens" in the Amazon Cognito Developer Guide. An access token has no audience: its client_id
says for which app client it was issued.
"""

from functools import partial
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from core.auth.claims import Claims, Scopes, check_scopes, principal
from core.auth.urls import AuthUrl
from core.auth.verifier import Services, Verifier
from core.config.records import Names, Record, Text, Whole
from core.errors import Unauthenticated
from core.frame.callers import Principal
from core.frame.forms import of_form

MAPPING: Final = {"cognito:groups": "roles"}
CLIENT_CLAIMS: Final = {"access": "client_id", "id": "aud"}


class Config(Record):
    """A token needs one of `required_scopes`; `jwks_uri` and `issuer` are an emulator's."""

    user_pool_id: Annotated[
        str, of_form(r"^[a-z0-9-]+_[A-Za-z0-9]+$", "must be a user pool's id, as us-east-1_AbCdEfGhI")
    ]
    region: Annotated[str, of_form(r"^[a-z0-9-]+$", "must be a region's name, as us-east-1")] | None = None
    client_ids: Annotated[Names, Field(min_length=1)]
    token_use: Literal["access", "id"] = "access"  # noqa: S105 - a kind of token
    required_scopes: Scopes = ()
    jwks_uri: AuthUrl | None = None
    issuer: Text | None = None
    key_recheck_period: Annotated[Whole, Field(ge=1)] = 3600

    @model_validator(mode="after")
    def _what_has_scopes(self) -> Self:
        if self.token_use == "id" and self.required_scopes:  # noqa: S105 - a kind of token
            raise ValueError("ID tokens have no scopes: required_scopes is for token_use: access")
        return self

    @property
    def vouched_by(self) -> str:
        return f"cognito {self.issuer or self.user_pool_id}"

    @property
    def issuer_url(self) -> str:
        return self.issued_by()

    def issued_by(self) -> str:
        region = self.region or self.user_pool_id.partition("_")[0]
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        return self.issuer or f"https://cognito-idp.{region}.{domain}/{self.user_pool_id}"


def connect(config: Config, services: Services) -> Verifier:
    from core.auth.endpoint import Endpoint
    from core.auth.jwks import keys_from_url
    from core.auth.jwt_verifier import JwtVerifier
    from core.auth.keys import KeySet

    issuer = config.issued_by()
    source = keys_from_url(Endpoint(services.http), config.jwks_uri or f"{issuer}/.well-known/jwks.json")
    keys = KeySet(source, recheck=config.key_recheck_period)
    services.closing.push_async_callback(keys.close)
    return JwtVerifier(keys, partial(_accept, config), issuer=issuer, algorithms=("RS256",))


def _accept(config: Config, claims: Claims) -> Principal:
    if claims.get("token_use") != config.token_use:
        raise Unauthenticated(f"The token is of the wrong kind. Send the {config.token_use} token.")
    if claims.get(CLIENT_CLAIMS[config.token_use]) not in config.client_ids:
        raise Unauthenticated("The token was issued for another app client.")
    caller = principal(claims, MAPPING, config.vouched_by)
    check_scopes(caller, config.required_scopes)
    return caller
