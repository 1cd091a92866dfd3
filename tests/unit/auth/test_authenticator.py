"""One bearer token in one header, judged by the auth provider that its shape belongs to."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.requests import Request

from core.auth.authenticator import Authenticator
from core.auth.http import Http
from core.auth.verifier import MOST_TOKEN_BYTES, Fit, Incoming, Services, make_principal
from core.errors import ApiError, AuthUnavailable, Unauthenticated
from core.frame.callers import Principal
from tests.fakes import MemoryStore

TOKEN = "abc.def-_~+/=="


@dataclass
class FakeVerifier:
    """Vouches for `accepts`; `failure` is raised for every other token."""

    name: str = "a"
    shape: Fit = Fit.MAYBE
    accepts: str = TOKEN
    failure: ApiError = field(default_factory=lambda: Unauthenticated("The token is not known."))
    asked: list[Incoming] = field(default_factory=list[Incoming])

    def fit(self, token: str) -> Fit:
        del token
        return self.shape

    async def verify(self, incoming: Incoming) -> Principal:
        self.asked.append(incoming)
        if incoming.token != self.accepts:
            raise self.failure
        return Principal(self.name, {}, self.name)


def authenticator(*verifiers: FakeVerifier) -> Authenticator:
    return Authenticator(verifiers, Services(Http(), MemoryStore()))


def request(*headers: tuple[str, str], query: str = "") -> Request:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/v1/models",
        "raw_path": b"/v1/models",
        "root_path": "",
        "scheme": "http",
        "server": ("t", 80),
        "query_string": query.encode(),
        "headers": raw,
    }
    return Request(scope)


def bearing(token: str = TOKEN, *more: tuple[str, str], query: str = "") -> Request:
    return request(("Authorization", f"Bearer {token}"), *more, query=query)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("spaces", [" ", "   "])
async def test_the_scheme_is_taken_in_any_case(scheme: str, spaces: str) -> None:
    found = await authenticator(FakeVerifier()).authenticate(request(("authorization", f"{scheme}{spaces}{TOKEN} ")))
    assert found.id == "a"


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([], ""),
        ([], f"access_token={TOKEN}&token={TOKEN}&api_key={TOKEN}"),
        ([("x-api-key", TOKEN)], ""),
        ([("cookie", f"Authorization=Bearer {TOKEN}")], ""),
        ([("authorization", f"Bearer {TOKEN}")] * 2, ""),
        ([("authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer other")], ""),
        ([("authorization", "")], ""),
        ([("authorization", "Bearer")], ""),
        ([("authorization", "Bearer ")], ""),
        ([("authorization", TOKEN)], ""),
        ([("authorization", f"Basic {TOKEN}")], ""),
        ([("authorization", f"Bearer{TOKEN}")], ""),
        ([("authorization", f"Bearer {TOKEN} {TOKEN}")], ""),
        ([("authorization", f"Bearer {TOKEN}, Bearer {TOKEN}")], ""),
        ([("authorization", 'Bearer "quoted"')], ""),
        ([("authorization", "Bearer caf\xe9")], ""),
    ],
)
async def test_without_one_usable_token_the_answer_says_how_to_send_one(
    headers: list[tuple[str, str]], query: str
) -> None:
    verifier = FakeVerifier()
    with pytest.raises(Unauthenticated, match="Send one header, Authorization: Bearer TOKEN") as refusal:
        await authenticator(verifier).authenticate(request(*headers, query=query))
    assert refusal.value.headers["www-authenticate"].startswith('Bearer error="invalid_request", error_description="')
    assert not verifier.asked


@pytest.mark.parametrize("host", ["t", "[", "a/b?", "a/v1/version#"])
async def test_neither_the_host_nor_what_was_encoded_changes_the_path_that_is_judged(host: str) -> None:
    verifier = FakeVerifier()
    asking = bearing(TOKEN, ("host", host))
    asking.scope["path"] = "/v1/models/a?b#c"
    await authenticator(verifier).authenticate(asking)
    assert verifier.asked[0].path == "/v1/models/a?b#c"


async def test_an_oversized_token_is_refused_before_anybody_looks_at_it() -> None:
    verifier = FakeVerifier()
    with pytest.raises(Unauthenticated, match="too long"):
        await authenticator(verifier).authenticate(bearing("a" * (MOST_TOKEN_BYTES + 1)))
    assert not verifier.asked


async def test_the_provider_that_alone_could_have_issued_it_is_asked_alone() -> None:
    mine, other = FakeVerifier("mine", Fit.MINE, accepts="x"), FakeVerifier("other")
    with pytest.raises(Unauthenticated):
        await authenticator(other, mine).authenticate(bearing())
    assert not other.asked


async def test_those_that_might_have_issued_it_are_asked_in_order() -> None:
    first, second, never = FakeVerifier("1", accepts="x"), FakeVerifier("2"), FakeVerifier("3", Fit.NO)
    assert (await authenticator(never, first, second).authenticate(bearing())).id == "2"
    assert (len(first.asked), len(never.asked)) == (1, 0)


async def test_a_token_of_no_known_shape_is_refused() -> None:
    with pytest.raises(Unauthenticated, match="not of a kind"):
        await authenticator(FakeVerifier(shape=Fit.NO), FakeVerifier(shape=Fit.NO)).authenticate(bearing())


async def test_a_dead_provider_is_never_a_pass_and_never_a_refusal() -> None:
    dead = FakeVerifier("dead", accepts="x", failure=AuthUnavailable("later"))
    for verifiers in ((dead,), (dead, FakeVerifier("b", accepts="x")), (FakeVerifier("b", accepts="x"), dead)):
        with pytest.raises(AuthUnavailable):
            await authenticator(*verifiers).authenticate(bearing())
    assert (await authenticator(dead, FakeVerifier("b")).authenticate(bearing())).id == "b"


async def test_a_provider_sees_the_request_without_its_secrets() -> None:
    verifier = FakeVerifier()
    secrets = ["Cookie", "Proxy-Authorization", "X-LlamaStack-Provider-Data", "X-OGX-Provider-Data", "X-Api-Key"]
    more = [("User-Agent", "curl"), *((name, "s3cret") for name in secrets)]
    await authenticator(verifier).authenticate(bearing(TOKEN, *more, query="a=1&a=2&b="))
    (incoming,) = verifier.asked
    assert (incoming.path, list(incoming.headers)) == ("/v1/models", [("user-agent", "curl")])
    assert incoming.params == {"a": ["1", "2"], "b": [""]}
    assert TOKEN not in repr(incoming)


def test_a_principal_without_attributes_shares_nothing_with_others() -> None:
    assert make_principal("ada", {}, "custom").attributes == {"namespaces": ("own:custom:ada",)}
    assert make_principal("ada", {"roles": []}, "custom").attributes == {"namespaces": ("own:custom:ada",)}
    assert make_principal("ada", {"roles": ["a"]}, "custom").attributes == {"roles": ("a",)}
