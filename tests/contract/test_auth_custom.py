"""The custom provider over real HTTP: what the endpoint is asked, what its answers mean, and what never passes."""

from collections.abc import AsyncGenerator
from hashlib import sha256
import json
from typing import Any

from aiohttp.test_utils import unused_port
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from core.auth.custom import Config, connect
from core.auth.http import UNAVAILABLE, Http
from core.auth.verifier import Incoming, Services, Verifier
from core.errors import AuthUnavailable, Unauthenticated
from core.frame.callers import Principal
from tests.fakes import MemoryStore
from tests.parts import upstream as upstreams
from tests.parts.upstream import FakeUpstream, hang, raw, status

PATH = "/validate"
TOKEN = "opaque-token-of-ada-0123456789"
DIGEST = sha256(TOKEN.encode()).hexdigest()
ROLES: dict[str, Any] = {"access_attributes": {"roles": ["admin", "user"], "teams": ["ml-team"]}}


@pytest.fixture
async def endpoint() -> AsyncGenerator[FakeUpstream]:
    async with upstreams.running(FakeUpstream(replies={PATH: status(200, ROLES)})) as upstream:
        yield upstream


@pytest.fixture
async def http() -> AsyncGenerator[Http]:
    http = Http()
    yield http
    await http.close()


@pytest.fixture
def verifier(endpoint: FakeUpstream, http: Http) -> Verifier:
    return connect(Config(endpoint=f"{endpoint.url}{PATH}"), Services(http, MemoryStore()))


async def answered(endpoint: FakeUpstream, verifier: Verifier, body: Any) -> Principal:
    endpoint.replies[PATH] = raw(body) if isinstance(body, bytes) else status(200, body)
    return await verifier.verify(Incoming(TOKEN))


async def test_the_endpoint_gets_the_token_and_the_request(endpoint: FakeUpstream, verifier: Verifier) -> None:
    headers = [("content-type", "application/json"), ("accept", "a/b"), ("accept", "c/d"), ("x-name", "Zoë")]
    await verifier.verify(Incoming(TOKEN, "/v1/models/ä", headers, {"key": ["value", ""], "☃": ["1"]}))
    (asked,) = endpoint.seen
    assert (asked.method, asked.path) == ("POST", PATH)
    assert asked.headers["content-type"] == "application/json"
    assert "authorization" not in asked.headers
    assert asked.body == {
        "api_key": TOKEN,
        "request": {
            "path": "/v1/models/ä",
            "headers": {"content-type": "application/json", "accept": "a/b, c/d", "x-name": "Zoë"},
            "params": {"key": ["value", ""], "☃": ["1"]},
        },
    }


@pytest.mark.parametrize(
    ("body", "id_", "attributes"),
    [
        (ROLES, DIGEST, {"roles": ("admin", "user"), "teams": ("ml-team",)}),
        (ROLES | {"message": "Authentication successful"}, DIGEST, {"roles": ("admin", "user"), "teams": ("ml-team",)}),
        ({"access_attributes": {"roles": ["a"], "teams": None, "projects": []}}, DIGEST, {"roles": ("a",)}),
        ({"principal": "ada", "attributes": {"projects": ["p"]}}, "ada", {"projects": ("p",)}),
        ({"principal": "ada", "attributes": {"roles": ["a"], "org": ["x"]}}, "ada", {"roles": ("a",), "org": ("x",)}),
        ({"principal": "ada", "access_attributes": {"roles": ["a"]}}, "ada", {"roles": ("a",)}),
        ({"attributes": {"roles": ["a"]}}, DIGEST, {"roles": ("a",)}),
        ({"principal": "ada", "attributes": {"scopes": ["s"]}}, "ada", {"scopes": ("s",), "namespaces": (DIGEST,)}),
        ({"principal": "ada", "attributes": None}, "ada", {"namespaces": (DIGEST,)}),
        ({"principal": "ada"}, "ada", {"namespaces": (DIGEST,)}),
        ({"access_attributes": None}, DIGEST, {"namespaces": (DIGEST,)}),
        ({"access_attributes": {}}, DIGEST, {"namespaces": (DIGEST,)}),
        ({}, DIGEST, {"namespaces": (DIGEST,)}),
    ],
)
async def test_either_shape_of_answer_is_understood_and_the_tokens_hash_is_the_namespace_without_attributes(
    endpoint: FakeUpstream, verifier: Verifier, body: Any, id_: str, attributes: dict[str, tuple[str, ...]]
) -> None:
    assert await answered(endpoint, verifier, body) == Principal(id_, attributes, f"custom {endpoint.url}{PATH}")


async def test_every_token_without_attributes_has_a_namespace_of_its_own(
    endpoint: FakeUpstream, verifier: Verifier
) -> None:
    endpoint.replies[PATH] = status(200, {})
    ada, bob = [await verifier.verify(Incoming(f"token-of-{name}-0123456789")) for name in ("ada", "bob")]
    assert ada.attributes["namespaces"] != bob.attributes["namespaces"]
    assert ada.id != bob.id
    assert "token-of" not in f"{ada}{bob}"


@pytest.mark.parametrize("code", [401, 403])
async def test_what_the_endpoint_refuses_is_unauthenticated(
    endpoint: FakeUpstream, verifier: Verifier, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    endpoint.replies[PATH] = status(code, {"message": f'no: "{TOKEN}"'})
    with pytest.raises(Unauthenticated) as refused:
        await verifier.verify(Incoming(TOKEN))
    assert refused.value.message == "The token is not valid."
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("code", [201, 204, 301, 302, 307, 400, 402, 404, 429, 500, 503])
async def test_every_other_status_is_unavailable_even_with_an_answer_that_would_pass(
    endpoint: FakeUpstream, verifier: Verifier, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    endpoint.replies[PATH] = status(code, None if code == 204 else ROLES, {"location": f"{endpoint.url}/elsewhere"})
    with pytest.raises(AuthUnavailable) as failed:
        await verifier.verify(Incoming(TOKEN))
    assert failed.value.message == UNAVAILABLE
    assert [seen.path for seen in endpoint.seen] == [PATH]
    assert f"answered {code}" in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>ok</html>",
        b'{"principal": "ada"',
        b"null",
        b"true",
        b'"ada"',
        b"[]",
        b"x" * 1_048_577,
        {"principal": ""},
        {"principal": 7},
        {"principal": None},
        {"principal": ["ada"]},
        {"attributes": []},
        {"attributes": "admin"},
        {"access_attributes": {"roles": "admin"}},
        {"access_attributes": {"roles": ["admin", 7]}},
        {"access_attributes": {"roles": ["admin", None]}},
        {"access_attributes": {"roles": [""]}},
        {"access_attributes": {"roles": {"admin": True}}},
        {"principal": "ada", "attributes": {"roles": [["admin"]]}},
        {"principal": "ada", "attributes": {"roles": ["admin"]}, "access_attributes": 7},
    ],
)
async def test_a_malformed_answer_is_unavailable_and_nothing_of_it_is_said(
    endpoint: FakeUpstream, verifier: Verifier, caplog: pytest.LogCaptureFixture, body: Any
) -> None:
    if isinstance(body, dict):
        body |= {"message": f"echo {TOKEN}"}
    with pytest.raises(AuthUnavailable) as failed:
        await answered(endpoint, verifier, body)
    assert failed.value.message == UNAVAILABLE
    assert "echo" not in caplog.text
    assert TOKEN not in caplog.text
    assert (await answered(endpoint, verifier, ROLES)).id == DIGEST


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["principal", "attributes", "access_attributes", "roles", "message"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(body=JSON)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_answer_at_all_breaks_it_or_passes_without_an_attribute(
    endpoint: FakeUpstream, verifier: Verifier, body: Any
) -> None:
    try:
        found = await answered(endpoint, verifier, json.dumps(body).encode())
    except AuthUnavailable:
        return
    assert isinstance(body, dict)
    assert found.id == body.get("principal", DIGEST)
    assert all(found.attributes.values())
    assert found.attributes


async def test_an_endpoint_that_is_silent_or_not_there_is_unavailable(endpoint: FakeUpstream) -> None:
    endpoint.replies[PATH] = hang
    for url in (f"{endpoint.url}{PATH}", f"http://127.0.0.1:{unused_port()}{PATH}"):
        http = Http(seconds=0.2)
        with pytest.raises(AuthUnavailable):
            await connect(Config(endpoint=url), Services(http, MemoryStore())).verify(Incoming(TOKEN))
        await http.close()


async def test_a_ca_file_that_cannot_be_read_is_unavailable_and_nothing_is_sent(
    endpoint: FakeUpstream, http: Http
) -> None:
    config = Config(endpoint=f"{endpoint.url}{PATH}", tls_cafile="/nowhere/ca.pem")
    with pytest.raises(AuthUnavailable):
        await connect(config, Services(http, MemoryStore())).verify(Incoming(TOKEN))
    assert not endpoint.seen
