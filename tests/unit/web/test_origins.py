"""Who may ask, by what only a browser says: host, origin and site, with and without `server.cors`."""

from collections.abc import Iterable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from core.config.browsers import CorsConfig
from core.errors import InvalidRequest
from core.web.origins import LONGEST_SHOWN, AllowedOrigins, OriginMiddleware, OriginRules

HOST = ("host", "localhost:8321")
OWN = "http://localhost:8321"
APP = "https://app.example.com"


def rules(*origins: str, has_tokens: bool = False, **cors: Any) -> OriginRules:
    allowed = AllowedOrigins(CorsConfig.model_validate({"allow_origins": origins, **cors})) if origins else None
    return OriginRules(allowed, has_tokens=has_tokens)


async def ask(
    rules: OriginRules, *headers: tuple[str, str], method: str = "POST", scheme: str = "http"
) -> tuple[int, list[tuple[str, str]], str]:
    """Status, headers and body; 200 is the app's own answer."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
        await send({"type": "http.response.body", "body": b"done"})

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": "http", "method": method, "scheme": scheme, "path": "/", "headers": raw}
    await OriginMiddleware(app, rules)(scope, receive, send)
    start, *bodies = sent
    pairs: Iterable[tuple[bytes, bytes]] = start["headers"]
    told = [(name.decode(), value.decode()) for name, value in pairs]
    return start["status"], told, b"".join(body["body"] for body in bodies).decode()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),
        ([("origin", OWN)], 200),
        ([("origin", "HTTP://LOCALHOST:8321")], 200),
        ([("origin", "http://localhost.:8321")], 200),
        ([("origin", "https://localhost:8321")], 200),
        ([("origin", "ftp://localhost:8321")], 403),
        ([("origin", "http://localhost")], 403),
        ([("origin", "http://:8321")], 403),
        ([("origin", OWN), ("origin", OWN)], 403),
        ([("origin", OWN), ("origin", APP)], 403),
        ([("origin", OWN), HOST], 403),
        ([("origin", "null")], 403),
        ([("sec-fetch-site", "same-origin")], 200),
        ([("sec-fetch-site", "none")], 200),
        ([("sec-fetch-site", "same-site")], 403),
        ([("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")], 403),
        ([("origin", OWN), ("sec-fetch-site", "cross-site")], 403),
    ],
)
async def test_a_page_is_of_here_or_foreign(headers: list[tuple[str, str]], status: int) -> None:
    assert (await ask(rules(), HOST, *headers))[0] == status
    assert (await ask(rules(), HOST, *headers, method="GET"))[0] == 200


@pytest.mark.parametrize(
    ("host", "origin", "scheme", "status"),
    [
        ("localhost", "http://localhost", "http", 200),
        ("localhost:80", "http://localhost", "http", 200),
        ("localhost", "http://localhost:80", "http", 200),
        ("localhost:", "http://localhost", "http", 200),
        ("localhost", "https://localhost", "http", 200),
        ("localhost", "https://localhost:80", "http", 403),
        ("localhost", "https://localhost:443", "https", 200),
        ("localhost", "http://localhost", "https", 403),
        ("localhost:x", "http://localhost", "http", 403),
        ("[::1]:8321", "http://[::1]:8321", "http", 200),
        ("[::1]", "http://[::1]", "http", 200),
        ("[::1]", "http://[::2]", "http", 403),
        ("", "http://", "http", 403),
    ],
)
async def test_a_port_that_is_not_said_is_the_schemes_own(host: str, origin: str, scheme: str, status: int) -> None:
    assert (await ask(rules(), ("host", host), ("origin", origin), scheme=scheme))[0] == status


@pytest.mark.parametrize(
    ("allowed", "origin", "told"),
    [
        ((APP,), APP, APP),
        ((APP,), "https://other.example.com", None),
        ((APP,), f"{APP}:8443", None),
        (("http://localhost:*",), "http://localhost:5173", "http://localhost:5173"),
        (("http://localhost:*",), "http://localhost", "http://localhost"),
        (("http://localhost:*",), "http://localhost:x", None),
        (("http://localhost:*",), "https://localhost:5173", None),
        ((APP, "http://localhost:*"), APP, APP),
        (("*",), "https://anybody.example", "*"),
        (("*",), "null", "*"),
    ],
)
async def test_pages_of_allowed_origins_may_ask_and_read(
    allowed: tuple[str, ...], origin: str, told: str | None
) -> None:
    for method in ("POST", "GET"):
        status, headers, _ = await ask(rules(*allowed), HOST, ("origin", origin), method=method)
        assert status == (403 if told is None and method == "POST" else 200)
        assert dict(headers).get("access-control-allow-origin") == told
        assert (("vary", "origin") in headers) == (status == 200)


async def test_two_origins_are_none_that_is_allowed() -> None:
    twice = [("origin", APP), ("origin", APP)]
    assert (await ask(rules(APP), HOST, *twice))[0] == 403
    status, headers, body = await ask(rules(APP), HOST, *twice, method="GET")
    assert (status, body, "access-control-allow-origin" in dict(headers)) == (200, "done", False)


@pytest.mark.parametrize("credentials", [True, False])
@pytest.mark.parametrize("exposed", [(), ("x-a", "x-b")])
async def test_what_more_a_page_may_is_told_where_it_is_configured(
    *, credentials: bool, exposed: tuple[str, ...]
) -> None:
    cors = rules(APP, allow_credentials=credentials, expose_headers=exposed)
    _, headers, _ = await ask(cors, HOST, ("origin", APP))
    told = {name: value for name, value in headers if name.startswith("access-control-")}
    expected = {"access-control-allow-origin": APP}
    expected |= {"access-control-allow-credentials": "true"} if credentials else {}
    expected |= {"access-control-expose-headers": "x-a, x-b"} if exposed else {}
    assert told == expected


@pytest.mark.parametrize(
    ("has_tokens", "headers", "status"),
    [
        (True, [("authorization", "Bearer x")], 200),
        (True, [("authorization", "bearer x")], 200),
        (True, [("authorization", "Basic x")], 403),
        (True, [("authorization", "Bearer x"), ("authorization", "Basic x")], 403),
        (True, [], 403),
        (False, [("authorization", "Bearer x")], 403),
    ],
)
async def test_a_page_that_has_a_token_may_use_it_where_there_are_any(
    *, has_tokens: bool, headers: list[tuple[str, str]], status: int
) -> None:
    page = [HOST, ("origin", APP), ("sec-fetch-site", "cross-site")]
    assert (await ask(rules(has_tokens=has_tokens), *page, *headers))[0] == status


@pytest.mark.parametrize(
    ("origin", "shown"),
    [
        (APP, True),
        (f"https://{'a' * (LONGEST_SHOWN - 8)}", True),
        (f"https://{'a' * (LONGEST_SHOWN - 7)}", False),
        ("null", False),
        ("https://\xe9.example", False),
        ("https://a\x7fb", False),
    ],
)
async def test_a_refusal_shows_the_origin_where_it_is_one(origin: str, *, shown: bool) -> None:
    for has_tokens in (True, False):
        status, _, body = await ask(rules(has_tokens=has_tokens), HOST, ("origin", origin))
        assert (status, f"page of {origin} " in body, "another site" in body) == (403, shown, not shown)
        assert ("send a token" in body) == has_tokens


async def test_two_origins_are_not_shown() -> None:
    assert "another site" in (await ask(rules(), HOST, ("origin", APP), ("origin", APP)))[2]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_host_that_is_none_of_ours_is_refused_whatever_is_asked(method: str) -> None:
    def refuse(hosts: list[bytes]) -> InvalidRequest | None:
        return None if hosts == [b"localhost:8321"] else InvalidRequest(f"not {len(hosts)}")

    checked = OriginRules(check_host=refuse)
    assert (await ask(checked, HOST, method=method))[0] == 200
    assert (await ask(checked, ("host", "evil.example"), method=method))[0] == 400
    assert (await ask(checked, method=method))[0] == 400


def asking(origin: str = APP, method: str = "POST", *names: str) -> list[tuple[str, str]]:
    headers = [("origin", origin), ("access-control-request-method", method)]
    return [HOST, *headers, *(("access-control-request-headers", name) for name in names)]


async def test_a_page_of_an_allowed_origin_is_told_beforehand_what_it_may() -> None:
    status, headers, body = await ask(rules(APP), *asking(APP, "POST", "authorization,x-a", "x-b"), method="OPTIONS")
    assert (status, body) == (204, "")
    assert headers == [
        ("access-control-allow-origin", APP),
        ("access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS"),
        ("access-control-allow-headers", "authorization,x-a, x-b"),
        ("access-control-max-age", "600"),
        ("vary", "origin, access-control-request-headers"),
    ]


async def test_what_is_configured_is_what_a_page_is_told() -> None:
    configured: dict[str, Any] = {"allow_headers": ["X-A"], "allow_methods": ["GET"], "max_age": 0}
    _, headers, _ = await ask(
        rules(APP, allow_credentials=True, **configured), *asking(APP, "POST", "x-b"), method="OPTIONS"
    )
    told = dict(headers)
    names = ("headers", "methods", "credentials")
    assert [told[f"access-control-allow-{name}"] for name in names] == ["X-A", "GET", "true"]
    assert told["access-control-max-age"] == "0"


@pytest.mark.parametrize("names", ["a\r\nx: y", "", "x" * 5000, "a;b", "\xe9"])
async def test_headers_that_are_none_are_not_mirrored(names: str) -> None:
    status, headers, _ = await ask(rules(APP), *asking(APP, "POST", names), method="OPTIONS")
    assert (status, "access-control-allow-headers" in dict(headers)) == (204, False)


@pytest.mark.parametrize("allowed", [(APP,), ()])
async def test_a_page_of_another_origin_is_told_which_key_lets_it_in(allowed: tuple[str, ...]) -> None:
    status, headers, body = await ask(rules(*allowed, has_tokens=True), *asking("https://b.example"), method="OPTIONS")
    assert status == 403
    assert r"server.cors.allow_origins to [\"https://b.example\"]" in body
    assert "access-control-allow-origin" not in dict(headers)
    assert (await ask(rules(*allowed), *asking(), ("origin", "https://b.example"), method="OPTIONS"))[0] == 403


@pytest.mark.parametrize("headers", [[], [("origin", APP)], [("access-control-request-method", "GET")]])
async def test_options_that_no_browser_asks_reach_the_route(headers: list[tuple[str, str]]) -> None:
    assert (await ask(rules(APP), HOST, *headers, method="OPTIONS"))[0] == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://a.example.com", 204),
        ("HTTPS://A.EXAMPLE.COM", 204),
        ("https://a.example.com.evil.test", 403),
        ("https://evil.test/a.example.com", 403),
        ("https://example.com", 403),
        (f"https://{'a' * 300}.example.com", 403),
        ("https://\xe9.example.com", 403),
        ("https://a.example.com\n", 204),  # a header's value has no line break by then: it was stripped
    ],
)
async def test_an_expression_is_held_against_the_whole_origin(origin: str, status: int) -> None:
    cors = CorsConfig.model_validate({"allow_origin_regex": r"https://([a-z0-9-]+)\.example\.com"})
    assert (await ask(OriginRules(AllowedOrigins(cors)), *asking(origin), method="OPTIONS"))[0] == status


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("https?://.*", "lets every page in"),
        ("null|https://a", "lets every page in"),
        ("(", "is not a regular expression"),
        ("https://(?!evil).*", "look-around"),
    ],
)
def test_an_expression_that_lets_all_in_or_is_none_is_refused(pattern: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CorsConfig.model_validate({"allow_origin_regex": pattern})


async def test_a_page_may_read_why_its_host_is_refused() -> None:
    allowed = AllowedOrigins(CorsConfig.model_validate({"allow_origins": [APP]}))
    checked = OriginRules(allowed, check_host=lambda _: InvalidRequest("no"))
    for method in ("GET", "POST", "OPTIONS"):
        status, headers, _ = await ask(checked, HOST, ("origin", APP), method=method)
        assert (status, dict(headers)["access-control-allow-origin"]) == (400, APP)
