"""An event becomes the scope that Mangum's own handlers make of it, or one typed error: never anything else."""

from base64 import b64encode
import json
from typing import Any, cast
from urllib.parse import quote, unquote, urlencode

from hypothesis import example, given, settings
from hypothesis import strategies as st
from mangum.adapter import HANDLERS
from mangum.types import LambdaConfig
import pytest
from starlette.datastructures import Headers, QueryParams

from core.errors import InvalidRequest
from core.runtime.http_events import NotHttp, http_request
from tests.lambda_.events import SHAPES, SOURCE_IP, Call, event

every_shape = pytest.mark.parametrize("shape", SHAPES)

NAMES = st.from_regex(r"[A-Z][a-z0-9-]{0,12}", fullmatch=True).filter(
    lambda name: name.lower() not in {"host", "cookie", "x-forwarded-port", "x-forwarded-proto"}
)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)
PAIRS = st.lists(st.tuples(NAMES, TEXT), max_size=6)
QUERY = st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=6)
PATHS = st.lists(TEXT, min_size=1, max_size=4).map(lambda parts: "/" + quote("/".join(parts), safe="/"))
CALLS = st.builds(Call, st.sampled_from(["GET", "POST", "DELETE"]), PATHS, st.none() | TEXT, PAIRS, QUERY)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
FIELDS = {
    "headers", "multiValueHeaders", "path", "httpMethod", "body", "isBase64Encoded", "requestContext", "cookies",
    "queryStringParameters", "multiValueQueryStringParameters", "rawQueryString", "rawPath", "version",
}  # fmt: skip
IN_CONTEXT = {"http", "identity", "stage"}


def scope_of(sent: dict[str, Any], base_path: str = "") -> dict[str, Any]:
    return dict(http_request(json.dumps(sent).encode(), base_path).scope)


def mangums(sent: dict[str, Any]) -> dict[str, Any]:
    """The scope that Mangum's own handlers make, which know of no stage in the path of an HTTP API."""
    config, context = LambdaConfig(api_gateway_base_path="/", text_mime_types=[], exclude_headers=[]), cast("Any", None)
    if (stage := sent["requestContext"]["stage"]) != "$default" and "http" in sent["requestContext"]:
        http = sent["requestContext"]["http"]
        http = http | {"path": http["path"].removeprefix(f"/{stage}") or "/"}
        sent = sent | {"requestContext": sent["requestContext"] | {"http": http}}
    kind = next(kind for kind in HANDLERS if kind.infer(sent, context, config))
    return cast("dict[str, Any]", kind(sent, context, config).scope)


@every_shape
@given(call=CALLS)
def test_scope_is_mangums(shape: str, call: Call) -> None:
    sent = event(shape, call)
    ours, theirs = scope_of(sent), mangums(sent)
    assert {tuple(pair) for pair in theirs.pop("headers")} == set(ours.pop("headers"))
    assert unquote(ours.pop("raw_path").decode()) == ours["path"]
    assert ours.pop("aws.event") == sent
    for name in ("aws.event", "aws.context", "raw_path"):
        del theirs[name]
    assert ours == theirs


@every_shape
@given(query=QUERY)
def test_query_comes_through_with_its_order_within_a_name(shape: str, query: list[tuple[str, str]]) -> None:
    seen = QueryParams(scope_of(event(shape, Call(query=query)))["query_string"])
    for name in {name for name, _ in query}:
        assert seen.getlist(name) == [value for key, value in query if key == name]
    assert len(seen.multi_items()) == len(query)


@every_shape
@given(pairs=PAIRS)
def test_headers_come_through(shape: str, pairs: list[tuple[str, str]]) -> None:
    seen = Headers(raw=scope_of(event(shape, Call(headers=pairs)))["headers"])
    for name, value in pairs:
        assert value in seen[name].encode("latin-1").decode()


@every_shape
@given(path=PATHS)
def test_path_is_decoded_once_and_kept_raw(shape: str, path: str) -> None:
    scope = scope_of(event(shape, Call(path=path)))
    assert scope["raw_path"] == path.encode()
    assert scope["path"] == unquote(path)


@every_shape
@given(body=st.binary(max_size=40) | TEXT)
def test_body_comes_through(shape: str, body: bytes | str) -> None:
    request = http_request(json.dumps(event(shape, Call("POST", body=body))).encode())
    assert request.body() == (body if isinstance(body, bytes) else body.encode())


@given(found=JSON)
def test_any_json_is_a_request_or_no_request(found: object) -> None:
    tried(json.dumps(found).encode())


@given(found=st.binary(max_size=60))
def test_any_bytes_are_a_request_or_no_request(found: bytes) -> None:
    tried(found)


@every_shape
@settings(max_examples=300)
@given(
    wrong=st.dictionaries(st.sampled_from(sorted(FIELDS)), JSON, max_size=3),
    inner=st.dictionaries(st.sampled_from(sorted(IN_CONTEXT)), JSON, max_size=2),
)
@example(wrong={"headers": {"host": "[::1]:x"}}, inner={})
@example(wrong={"headers": {"Host": "a:99999999999999", "x-forwarded-port": "²"}}, inner={})
@example(wrong={"multiValueHeaders": {"a": None}}, inner={})
@example(wrong={"rawQueryString": "\ud800", "cookies": ["\udfff"]}, inner={"http": {"path": "\ud800", "method": "G"}})
def test_any_wrong_field_is_a_request_or_no_request(shape: str, wrong: dict[str, Any], inner: dict[str, Any]) -> None:
    sent = event(shape, Call())
    sent["requestContext"] |= inner
    tried(json.dumps(sent | wrong).encode())


def tried(payload: bytes) -> object:
    try:
        request = http_request(payload, "/base")
        assert isinstance(request.body(), bytes)
    except (NotHttp, InvalidRequest) as refusal:
        return refusal.args
    scope = request.scope
    assert all(isinstance(name, bytes) and isinstance(value, bytes) for name, value in scope["headers"])
    assert scope["path"].encode()
    assert isinstance(scope["query_string"], bytes)
    return scope


@every_shape
@given(status=st.integers(100, 599), headers=st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=20))))
def test_any_answers_head_becomes_a_prelude_that_the_delimiter_ends(
    shape: str, status: int, headers: list[tuple[bytes, bytes]]
) -> None:
    request = http_request(json.dumps(event(shape, Call())).encode())
    prelude, delimiter, rest = request.prelude(status, headers).partition(bytes(8))
    said = json.loads(prelude)
    assert (said["statusCode"], delimiter, rest) == (status, bytes(8), b"")
    cookies = [value for name, value in headers if name.lower() == b"set-cookie"]
    assert len(said["cookies"]) == len(cookies)


@every_shape
def test_lone_halves_of_surrogate_pairs_in_headers_are_replaced(shape: str) -> None:
    sent = event(shape, Call(headers=[("X-Odd", "a\ud800b")]))
    assert (b"x-odd", b"a?b") in scope_of(sent)["headers"]


@every_shape
def test_client_is_the_address_that_aws_saw_or_nobody(shape: str) -> None:
    sent = event(shape, Call())
    assert scope_of(sent)["client"] == (SOURCE_IP, 0)
    context = sent["requestContext"]
    context["identity" if shape == "rest" else "http"].pop("sourceIp")
    assert scope_of(sent)["client"] is None


@every_shape
@pytest.mark.parametrize(
    ("path", "seen"),
    [("/llm/v1/models", "/v1/models"), ("/llm", "/"), ("/llm/", "/"), ("/llmx", "/llmx"), ("/x/llm", "/x/llm")],
)
def test_base_path_is_taken_off_where_it_is_whole(shape: str, path: str, seen: str) -> None:
    for base_path in ("/llm", "llm", "/llm/"):
        assert scope_of(event(shape, Call(path=path)), base_path)["path"] == seen
    assert scope_of(event(shape, Call(path=path)), "/")["path"] == path


def test_cookies_of_payload_2_are_one_header() -> None:
    sent = event("http", Call()) | {"cookies": ["a=1", "b=2"]}
    assert Headers(raw=scope_of(sent)["headers"])["cookie"] == "a=1; b=2"


@pytest.mark.parametrize("field", ["headers", "multiValueHeaders", "queryStringParameters"])
def test_what_api_gateway_leaves_null_is_empty(field: str) -> None:
    assert scope_of(event("rest", Call()) | {field: None})["query_string"] == b""


def test_single_query_parameters_are_taken_where_there_are_no_repeated_ones() -> None:
    sent = event("rest", Call()) | {"queryStringParameters": {"a b": "ä&"}}
    assert scope_of(sent)["query_string"] == urlencode({"a b": "ä&"}).encode()


@pytest.mark.parametrize(
    ("host", "port", "server"),
    [
        ("a.example", "443", ("a.example", 443)),
        ("a.example:8443", "443", ("a.example", 8443)),
        ("[::1]", "8080", ("[::1]", 8080)),
        ("[::1]:9000", "8080", ("[::1]", 9000)),
        ("a.example", "much", ("a.example", 443)),
        ("a.example", "123456", ("a.example", 443)),
    ],
)
def test_server_is_what_the_client_asked_for(host: str, port: str, server: tuple[str, int]) -> None:
    sent = event("http", Call())
    sent["headers"] |= {"host": host, "x-forwarded-port": port}
    assert scope_of(sent)["server"] == server


@pytest.mark.parametrize("body", ["%%%", "QUJ", "§"])
def test_body_that_is_not_base64_as_marked_is_refused(body: str) -> None:
    sent = event("http", Call("POST")) | {"body": body, "isBase64Encoded": True}
    with pytest.raises(InvalidRequest, match="base64"):
        http_request(json.dumps(sent).encode()).body()
    good = sent | {"body": b64encode(b"x").decode()}
    assert http_request(json.dumps(good).encode()).body() == b"x"


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ([], "the event is not an object"),
        ({"Records": []}, "requestContext is not an object"),
        ({"requestContext": {"http": 1}}, "requestContext.http is not an object"),
        ({"requestContext": {"http": {"path": "/"}}}, "requestContext.http.method is not text"),
        ({"requestContext": {}, "path": "/"}, "httpMethod is not text"),
        ({"requestContext": {}, "path": "/", "httpMethod": "GET", "headers": {"a": 1}}, "headers.a is not text"),
    ],
)
def test_event_that_is_no_http_request_says_what_is_missing(sent: object, said: str) -> None:
    with pytest.raises(NotHttp, match=said):
        http_request(json.dumps(sent).encode())
