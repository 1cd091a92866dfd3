"""custom: tokens that an endpoint of the operator's is asked about, one request each.

Source: CustomAuthProvider of Llama Stack 0.2.8 and before (`access_attributes`) and since (`principal`, `attributes`).
"""

from hashlib import sha256
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from core.auth.endpoint import Endpoint, unusable
from core.auth.urls import AuthUrl
from core.auth.verifier import Fit, Incoming, Services, Verifier, make_principal
from core.config.records import Record, Text, UserPath
from core.errors import Unauthenticated
from core.frame.callers import CATEGORIES, Principal

OK: Final = 200
REFUSED: Final = (401, 403)


class Config(Record):
    """`issuer` names whoever stands behind the endpoint, and stays the same where that moves; else its URL is the name."""

    endpoint: AuthUrl
    issuer: Text | None = None
    verify_tls: bool = True
    tls_cafile: UserPath | None = None

    @property
    def vouched_by(self) -> str:
        return f"custom {self.issuer or self.endpoint}"


class EndpointAnswer(BaseModel):
    """Either shape, or a mixture; `message` is ignored. A category without names may be null."""

    principal: Text = ""
    attributes: dict[str, list[Text] | None] | None = None
    access_attributes: dict[str, list[Text] | None] | None = None

    def names(self) -> dict[str, list[str]]:
        attributes = {**(self.access_attributes or {}), **(self.attributes or {})}
        return {category: names for category, names in attributes.items() if names}


class CustomVerifier:
    def __init__(self, endpoint: Endpoint, url: str, vouched_by: str) -> None:
        self._endpoint = endpoint
        self._url = url
        self._vouched_by = vouched_by

    def fit(self, token: str) -> Fit:
        """Only the endpoint knows what its tokens look like."""
        return Fit.MAYBE if token else Fit.NO

    async def verify(self, incoming: Incoming) -> Principal:
        """Ask the endpoint.

        Raises:
            Unauthenticated: it answered 401 or 403.
            AuthUnavailable: no answer, or none that this could be read from.
        """
        reply = await self._endpoint.request("POST", self._url, json=_question(incoming))
        if reply.status in REFUSED:
            raise Unauthenticated("The token is not valid.")
        if reply.status != OK:
            raise unusable(self._url, f"answered {reply.status}")
        try:
            answer = EndpointAnswer.model_validate(reply.body)
        except ValidationError:
            raise unusable(self._url, "gave an answer of another shape") from None  # the failure quotes the answer
        return _principal(answer, incoming.token, self._vouched_by)


def _question(incoming: Incoming) -> dict[str, Any]:
    headers: dict[str, str] = {}
    for name, value in incoming.headers:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value  # RFC 9110, 5.3
    request = {"path": incoming.path, "headers": headers, "params": dict(incoming.params)}
    return {"api_key": incoming.token, "request": request}


def _principal(answer: EndpointAnswer, token: str, vouched_by: str) -> Principal:
    """Without access attributes the reference takes the token as namespace; here its hash, since a secret is no name."""
    digest = sha256(token.encode()).hexdigest()
    names = answer.names()
    if not names.keys() & set(CATEGORIES):
        names["namespaces"] = [digest]
    return make_principal(answer.principal or digest, names, vouched_by)


def connect(config: Config, services: Services) -> Verifier:
    endpoint = Endpoint(services.http, verify_tls=config.verify_tls, tls_cafile=config.tls_cafile)
    return CustomVerifier(endpoint, config.endpoint, config.vouched_by)
