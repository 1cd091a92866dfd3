"""What a web page can make a browser send changes nothing, whatever its site; programs are none the wiser."""

from collections.abc import Generator, Iterator
import json
from pathlib import Path
import re
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from core.apis.index import route_rows
from core.config.document import ServerConfig
from core.errors import PermissionDenied
from core.runtime.server import listen, own_hosts
from core.web.hosts import host_check
from tests.contract.test_serve import write
from tests.parts.live_stack import client_of, run_config
from tests.parts.stack import serving

EVIL = "http://evil.example"
JSON = {"content-type": "application/json"}
FOREIGN: list[dict[str, str]] = [
    {"origin": EVIL},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://localhost:1"},
    {"origin": "http://127.0.0.1"},
    {"origin": "file://"},
    {"origin": "chrome-extension://abcdefgh"},
    {"origin": f"{EVIL}, OWN"},
    {"origin": "OWN.evil.example"},
    {"origin": "OWN@evil.example"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "Cross-Site"},
    {"origin": "OWN", "sec-fetch-site": "cross-site"},
    {"origin": EVIL, "sec-fetch-site": "same-origin"},
    {"origin": EVIL, "authorization": "Bearer x"},
]
WRITES = [
    (row.method, re.sub(r"\{[^}]*\}", "x", row.path), row.has_body)
    for row in route_rows(["inference", "admin"])
    if row.method != "GET" and not (row.operation and row.operation.upload)
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """An open `llambda serve` that can be configured while it runs."""
    folder = tmp_path_factory.mktemp("open")
    config = write(folder, {"a": "http://127.0.0.1:9"})
    config.write_text(json.dumps(json.loads(config.read_text()) | {"configurations": {}}))
    with serving(config, folder / "log") as url:
        yield url


@pytest.fixture
def client(stack: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack, timeout=30) as client:
        yield client
        assert client.get("/v1/configurations").json()["data"] == []
        assert client.get("/v1/models").json()["data"] == []


def own(headers: dict[str, str], url: str) -> dict[str, str]:
    return {name: value.replace("OWN", url) for name, value in headers.items()}


def refusal(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert "x-request-id" in answer.headers
    assert not {name for name in answer.headers if name.startswith("access-control-")}
    text: str = answer.json()["error"]["message"]
    return text


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_no_route_does_anything_for_a_page_of_another_origin(client: httpx.Client, headers: dict[str, str]) -> None:
    for method, path, _ in WRITES:
        answer = client.request(
            method, path, content=b"{}", headers=own(headers, str(client.base_url).rstrip("/")) | JSON
        )
        assert "server.cors.allow_origins" in refusal(answer, 403)


def test_an_origin_that_comes_twice_is_foreign(client: httpx.Client) -> None:
    url = str(client.base_url).rstrip("/")
    answer = client.post("/v1/models", json={}, headers=[("origin", url), ("origin", url)])
    assert "another site" in refusal(answer, 403)


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "text/plain; application/json",
        "text/plain;charset=application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=application/json",
        "application/json, text/plain",
        "text/json",
        "application/jsonp",
        "xapplication/json",
        "",
        None,
    ],
)
def test_no_body_is_read_that_does_not_say_that_it_is_json(client: httpx.Client, media_type: str | None) -> None:
    headers = {} if media_type is None else {"content-type": media_type}
    for method, path, has_body in WRITES:
        if has_body:
            answer = client.request(method, path, content=b'{"config": {}}', headers=headers)
            assert "-H 'content-type: application/json'" in refusal(answer, 415)


def test_two_media_types_are_none(client: httpx.Client) -> None:
    headers = [("content-type", "application/json"), ("content-type", "text/plain")]
    refusal(client.post("/v1/models", content=b"{}", headers=headers), 415)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "OWN"},
        {"origin": "OWN", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"content-type": "application/json; charset=utf-8"},
        {"content-type": "Application/JSON"},
        {"content-type": "application/merge-patch+json"},
    ],
    ids=str,
)
def test_programs_and_pages_of_the_stack_itself_pass(client: httpx.Client, headers: dict[str, str]) -> None:
    answer = client.post("/v1/models", content=b"{}", headers=JSON | own(headers, str(client.base_url).rstrip("/")))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model_id")


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/x-www-form-urlencoded"}])
def test_what_has_no_body_needs_no_media_type(client: httpx.Client, headers: dict[str, str]) -> None:
    assert client.post("/v1/jobs/none/cancel", headers=headers).status_code == 404
    assert client.delete("/v1/models/none").status_code == 404


def ask(url: str, head: str) -> tuple[int, dict[str, Any]]:
    """The answer to a request as it stands here, its lines with their ends."""
    address = urlsplit(url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20) as connection:
        connection.sendall(f"{head}connection: close\r\n\r\n".encode("latin-1"))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    top, _, body = answer.partition(b"\r\n\r\n")
    return int(top.split()[1]), json.loads(body)


OWN_HOSTS = ["localhost", "LOCALHOST.:9", "127.0.0.1", "127.8.8.8:80", "[::1]:8321", "[0:0:0:0:0:0:0:1]", "localhost:"]


@pytest.mark.parametrize("host", OWN_HOSTS)
def test_loopback_is_always_a_host_of_its_own(stack: str, host: str) -> None:
    assert ask(stack, f"GET /v1/version HTTP/1.1\r\nhost: {host}\r\n")[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8321",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost..",
        "127.1",
        "2130706433",
        "0.0.0.0",  # noqa: S104 - nobody listens
        "[::]",
        "192.168.1.4",
        "169.254.169.254",
        "xlocalhost",
        "sub.localhost",
    ],
)
def test_another_host_is_refused_and_the_key_is_named(stack: str, host: str) -> None:
    for path in ("/v1/version", "/v1/models", "/nowhere"):
        status, body = ask(stack, f"GET {path} HTTP/1.1\r\nhost: {host}\r\n")
        assert (status, body["error"]["code"]) == (403, "permission_denied")
        assert re.search(r'server\.hosts: \["[a-z0-9.:]+"\]', body["error"]["message"])


@pytest.mark.parametrize(
    "head",
    [
        "GET /v1/version HTTP/1.1\r\n",
        "GET /v1/version HTTP/1.0\r\n",
        "GET /v1/version HTTP/1.1\r\nhost:\r\n",
        "GET /v1/version HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n",
        "GET /v1/version HTTP/1.1\r\nhost: localhost, evil.example\r\n",
        "GET /v1/version HTTP/1.1\r\nhost: evil.example@localhost\r\n",
        "GET /v1/version HTTP/1.1\r\nhost: localhost:80@evil.example\r\n",
        "GET /v1/version HTTP/1.1\r\nhost: localhost/\r\n",
        "GET /v1/version HTTP/1.1\r\nhost: localhost:99999999\r\n",
        "GET /v1/version HTTP/1.1\r\nhost: [::1\r\n",
        "GET /v1/version HTTP/1.1\r\nhost: ::1\r\n",
        "GET /v1/version HTTP/1.1\r\nhost: l\xf6calhost\r\n",
        f"GET /v1/version HTTP/1.1\r\nhost: {'a' * 5000}\r\n",
        "GET http://evil.example/v1/version HTTP/1.1\r\nhost: localhost\r\n",
        "GET http://localhost/v1/version HTTP/1.1\r\nhost: evil.example\r\n",
    ],
)
def test_an_odd_host_is_refused(stack: str, head: str) -> None:
    status, body = ask(stack, head)
    assert (status, body["error"]["code"]) == (400, "invalid_request")
    assert "Host" in body["error"]["message"]


def test_a_whole_url_as_target_names_the_host(stack: str) -> None:
    assert ask(stack, "GET http://localhost/v1/version HTTP/1.1\r\n")[0] == 200
    assert ask(stack, "GET http://evil.example/v1/version HTTP/1.1\r\n")[0] == 403


def test_what_a_page_may_not_read_has_no_header_that_lets_it(client: httpx.Client) -> None:
    answer = client.get("/v1/models", headers={"origin": EVIL, "sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert not {name for name in answer.headers if name.startswith("access-control-")}


def test_the_address_that_was_asked_for_is_a_host_of_its_own() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert own_hosts("My.Box.", listener) == ("my.box",)
    for everywhere in ("0.0.0.0", "0"):  # noqa: S104 - they are told apart
        with listen(everywhere, 0) as listener:
            assert own_hosts(everywhere, listener) == ()


def test_further_hosts_and_origins_are_listed_in_the_run_config(tmp_path: Path) -> None:
    cors = {"allow_origins": ["https://app.example", "http://localhost:*"], "expose_headers": ["x-request-id"]}
    config = write(tmp_path, {"a": "http://127.0.0.1:9"}, hosts="box, 192.168.1.4", cors=cors)
    with serving(config, tmp_path / "log") as url, httpx.Client(base_url=url) as client:
        for host, status in {"box": 200, "BOX:80": 200, "192.168.1.4": 200, "192.168.1.5": 403, "xbox": 403}.items():
            assert client.get("/v1/version", headers={"host": host}).status_code == status
        for origin in ("https://app.example", "http://localhost:3000", "http://localhost"):
            headers = {"origin": origin, "sec-fetch-site": "cross-site"}
            answer = client.post("/v1/models", json={}, headers=headers)
            allowed = {name: answer.headers[name] for name in ("access-control-allow-origin", "vary")}
            assert (answer.status_code, allowed) == (400, {"access-control-allow-origin": origin, "vary": "origin"})
            assert answer.headers["access-control-expose-headers"] == "x-request-id"
        others = (
            "http://app.example",
            "https://app.example.evil.example",
            "https://app.example:444",
            "http://localhost:x",
        )
        for origin in (*others, "http://localhost.evil.example:80", "null"):
            refusal(client.post("/v1/models", json={}, headers={"origin": origin}), 403)


def test_with_authentication_hosts_are_checked_where_there_are_any() -> None:
    auth = {"providers": [{"type": "api_key"}]}
    assert host_check(ServerConfig.model_validate({"auth": auth})) is None
    assert host_check(ServerConfig.model_validate({"hosts": ["*"]})) is None
    check = host_check(ServerConfig.model_validate({"auth": auth, "hosts": ["a", "::2"]}), ["b"])
    assert check is not None
    assert [check([host]) for host in (b"a:1", b"b", b"[0:0::2]", b"127.0.0.1")] == [None] * 4
    assert isinstance(check([b"c"]), PermissionDenied)


def test_with_authentication_a_token_is_what_counts(tmp_path: Path) -> None:
    """A browser sends none by itself, so that a page that has one may call, from wherever it came."""
    auth = {"providers": [{"type": "api_key"}]}
    config = write(tmp_path, {"a": "http://127.0.0.1:9"}, auth=auth)
    headers = {"origin": EVIL, "host": "any.example"}
    with serving(config, tmp_path / "log") as url, httpx.Client(base_url=url, headers=headers) as page:
        assert page.get("/v1/version").status_code == 200
        assert page.post("/v1/models", json={}, headers={"authorization": "Bearer x"}).status_code == 401
        for further in ({}, {"authorization": "Basic YTpi"}, {"authorization": "Negotiate x"}, {"authorization": ""}):
            assert "Authorization" in refusal(page.post("/v1/models", json={}, headers=further), 403)


async def test_behind_a_gateway_every_host_is_answered_and_no_foreign_origin(tmp_path: Path) -> None:
    config = run_config("http://127.0.0.1:9", {"type": "sqlite", "db_path": str(tmp_path / "registry.db")})
    async with client_of(config) as client:
        for origin, status in {
            "http://t": 400,
            "https://t": 400,
            "http://t:80": 400,
            "http://t:81": 403,
            EVIL: 403,
        }.items():
            assert (await client.post("/v1/models", json={}, headers={"origin": origin})).status_code == status


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ({"cors": {"allow_origins": ["*"]}}, "server.auth"),
        ({"cors": {"allow_origins": ["null"]}}, "no origin"),
        ({"cors": {"allow_origins": ["https://a.example/path"]}}, "no origin"),
        ({"cors": {"allow_origin_regex": ".*"}}, "list the origins"),
        ({"cors": {"allow_origins": ["*"], "allow_credentials": True}}, "allow_credentials"),
        ({"hosts": ["http://a"]}, "no host"),
        ({"hosts": ["a:80"]}, "no host"),
    ],
)
def test_a_run_config_cannot_let_in_every_page_by_mistake(server: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        ServerConfig.model_validate(server)


def test_pages_of_an_allowed_origin_are_asked_before_and_read_every_answer(tmp_path: Path) -> None:
    """Neither a token nor a quota stands before a preflight; behind it, each answer is for the page to read."""
    page = "https://app.example"
    store = {"type": "sqlite", "db_path": str(tmp_path / "quota.db")}
    more: dict[str, Any] = {"auth": {"providers": [{"type": "api_key"}]}, "cors": {"allow_origins": page}}
    more["quota"] = {"kvstore": store, "authenticated_max_requests": 1, "anonymous_max_requests": 1}
    config = write(tmp_path, {"a": "http://127.0.0.1:9"}, **more)
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, x-stainless-os"}
    with serving(config, tmp_path / "log") as url, httpx.Client(base_url=url, headers={"origin": page}) as client:
        for _, path, _ in [*WRITES, ("GET", "/v1/models", False), ("GET", "/v1/health", False)]:
            answer = client.options(path, headers=asked)
            assert (answer.status_code, answer.content) == (204, b"")
            assert answer.headers["access-control-allow-origin"] == page
            assert answer.headers["access-control-allow-headers"] == asked["access-control-request-headers"]
            assert "x-request-id" in answer.headers
        for method, path, status in (
            ("GET", "/v1/health", 200),
            ("GET", "/v1/models", 401),
            ("POST", "/v1/chat/completions", 401),
            ("GET", "/nowhere", 404),
            ("PUT", "/v1/models", 405),
        ):
            headers = {"authorization": "Bearer none"} if status == 401 else {}
            answer = client.request(method, path, headers=headers)
            assert answer.status_code == status or method == "PUT"
            if status != 405:
                assert (answer.headers["access-control-allow-origin"], answer.headers["vary"]) == (page, "origin")
                assert {"x-request-id", "retry-after"} <= set(
                    answer.headers["access-control-expose-headers"].split(", ")
                )
        answer = client.options("/v1/models", headers=asked | {"origin": "https://app.example.evil.example"})
        assert "server.cors.allow_origins" in refusal(answer, 403)
