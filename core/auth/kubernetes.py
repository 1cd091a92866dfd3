"""kubernetes: tokens of a cluster's users and service accounts.

Source: KubernetesAuthProviderConfig of Llama Stack 0.2.23; SelfSubjectReview of the Kubernetes API (1.28 and later).
"""

from functools import partial
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AliasChoices, Field, model_validator

from core.auth.claims import Claims, ClaimsMapping, attributes, check_audience, principal
from core.auth.endpoint import Endpoint, unusable
from core.auth.urls import AuthUrl
from core.auth.verifier import Fit, Incoming, Services, Verifier, make_principal
from core.config.records import Record, Text, UserPath, Whole
from core.errors import Unauthenticated
from core.frame.callers import Principal
from core.platform.json_values import to_object
from core.platform.urls import join_path

PATH: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW: Final = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
MAPPING: Final = {"groups": "teams"}
GROUPS: Final = {"groups": "groups"}
ANONYMOUS: Final = "system:anonymous"
UNAUTHENTICATED: Final = "system:unauthenticated"


class Config(Record):
    """`review` asks the API server about each token; `keys` checks service accounts' tokens with its OIDC keys.

    Without `audience`, `keys` wants the issuer as audience, as the API server itself does.
    """

    api_server_url: AuthUrl
    tls_cafile: UserPath | None = Field(None, validation_alias=AliasChoices("tls_cafile", "ca_cert_path"))
    verify_tls: bool = True
    validation: Literal["review", "keys"] = "review"
    issuer: Text | None = None
    audience: Text | None = None
    key_recheck_period: Annotated[Whole, Field(ge=1)] = 3600
    claims_mapping: ClaimsMapping = Field(default_factory=lambda: dict(MAPPING))

    @model_validator(mode="after")
    def _what_applies(self) -> Self:
        if self.validation == "review" and (self.issuer or self.audience):
            raise ValueError("issuer and audience are checked with validation: keys only")
        return self

    @property
    def vouched_by(self) -> str:
        return f"kubernetes {self.api_server_url}"

    @property
    def private(self) -> bool:
        """Whether what a caller makes is its own: nearly everybody is in `system:authenticated`."""
        return "claims_mapping" not in self.model_fields_set


def connect(config: Config, services: Services) -> Verifier:
    endpoint = Endpoint(services.http, verify_tls=config.verify_tls, tls_cafile=config.tls_cafile)
    if config.validation == "review":
        return ReviewVerifier(endpoint, config)
    from core.auth.jwks import keys_from_discovery
    from core.auth.jwt_verifier import JwtVerifier
    from core.auth.keys import KeySet

    keys = KeySet(keys_from_discovery(endpoint, config.api_server_url), recheck=config.key_recheck_period)
    services.closing.push_async_callback(keys.close)
    return JwtVerifier(keys, partial(_accept, config), issuer=config.issuer)


def _accept(config: Config, claims: Claims) -> Principal:
    check_audience(claims, config.audience or claims["iss"])
    return principal(claims, config.claims_mapping, config.vouched_by, private=config.private)


class ReviewVerifier:
    def __init__(self, endpoint: Endpoint, config: Config) -> None:
        self._endpoint = endpoint
        self._config = config
        self._url = join_path(config.api_server_url, PATH)

    def fit(self, token: str) -> Fit:
        """A cluster may take tokens of any shape."""
        del token
        return Fit.MAYBE

    async def verify(self, incoming: Incoming) -> Principal:
        headers = {"authorization": f"Bearer {incoming.token}"}
        reply = await self._endpoint.request("POST", self._url, headers=headers, json=REVIEW)
        if reply.status in (401, 403):
            raise Unauthenticated("The cluster does not accept the token. Get a new one.")
        user = _user(reply.body) if reply.status == 201 else None  # noqa: PLR2004
        if user is None:
            raise unusable(self._url, f"answered {reply.status} to a self-subject review")
        name = user["username"]
        if name == ANONYMOUS or UNAUTHENTICATED in attributes(user, GROUPS)["groups"]:
            raise Unauthenticated(
                "The cluster sees the bearer of this token as anonymous. Send the token of a user or of a service account."
            )
        config = self._config
        names = attributes(user, config.claims_mapping)
        return make_principal(name, names, config.vouched_by, private=config.private)


def _user(body: object) -> dict[str, Any] | None:
    """`{username, uid, groups, extra}`; None if there is none with a name."""
    user = to_object(to_object(to_object(body).get("status")).get("userInfo"))
    name = user.get("username")
    return user if isinstance(name, str) and name else None
