"""What a web page can make a browser send changes nothing, whatever its site; programs are none the wiser."""

import asyncio
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
import json
from pathlib import Path
import re
import socket
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
import httpx
import pytest

from core.apis.index import route_rows
from core.config.document import ServerConfig
from core.errors import PermissionDenied
from core.runtime.server import listen, own_hosts
from core.web.hosts import host_check
from infra.local.clients import python_of
from tests.contract.test_serve import write
from tests.parts.browser import browsing
from tests.parts.live_stack import client_of, run_config
from tests.parts.stack import ROOT, serving
from tests.parts.upstream import FakeUpstream, running

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


ATTACKS = """
(async () => {
  const [api, files] = TARGETS, body = JSON.stringify(BODY), jobs = [];
  const paths = ["/v1/configurations", "/v1/providers", "/v1/models", "/v1/chat/completions"];
  const post = (url, options) => jobs.push(fetch(url, {method: "POST", ...options}).then(r => r.type, e => "" + e));
  const submit = (url, enctype, fields, file) => jobs.push(new Promise(done => {
    const frame = document.createElement("iframe"), form = document.createElement("form");
    frame.name = form.target = "f" + Math.random(); frame.style.display = "none";
    Object.assign(form, {method: "POST", action: url, enctype});
    for (const [name, value] of Object.entries(fields)) {
      const input = Object.assign(document.createElement("input"), {name, value}); form.append(input);
    }
    if (file) {
      const input = Object.assign(document.createElement("input"), {name: "file", type: "file"});
      const transfer = new DataTransfer(); transfer.items.add(file); input.files = transfer.files; form.append(input);
    }
    document.body.append(frame, form);
    form.submit();
    frame.onload = () => done("form"); setTimeout(() => done("late"), 5000);
  }));
  for (const path of paths) {
    const url = api + path, text = body.slice(0, -1) + ', "x": "';
    for (const type of ["text/plain", "application/x-www-form-urlencoded"])
      for (const credentials of ["omit", "include"])
        post(url, {mode: "no-cors", credentials, headers: {"content-type": type}, body});
    post(url, {mode: "no-cors", body: new Blob([body])});
    post(url, {mode: "no-cors", body: new TextEncoder().encode(body)});
    post(url, {mode: "no-cors", headers: {"content-type": "application/json"}, body});
    post(url, {headers: {"content-type": "application/json"}, body});
    post(url, {headers: {"content-type": "text/plain"}, referrerPolicy: "no-referrer", body});
    jobs.push("" + navigator.sendBeacon(url, new Blob([body], {type: "text/plain"})));
    jobs.push("" + navigator.sendBeacon(url, body));
    try { jobs.push("" + navigator.sendBeacon(url, new Blob([body], {type: "application/json"}))); } catch (e) {}
    submit(url, "text/plain", {[text]: '"}'});
    submit(url, "application/x-www-form-urlencoded", BODY);
    submit(url, "multipart/form-data", BODY);
  }
  const file = () => new File(["stolen"], "a.txt", {type: "text/plain"}), data = new FormData();
  data.append("purpose", "batch"); data.append("file", file());
  post(files, {mode: "no-cors", body: data});
  post(files, {body: data});
  submit(files, "multipart/form-data", {purpose: "batch"}, file());
  jobs.push("" + navigator.sendBeacon(files, data));
  jobs.push(new Promise(done => Object.assign(new Image(), {src: api + "/v1/models", onload: done, onerror: () => done("no image")})));
  const reading = await fetch(api + "/v1/models").then(r => "read " + r.status, () => "cannot read");
  await Promise.all(jobs);
  return reading;
})()
"""


async def serve_page() -> tuple[web.AppRunner, list[web.Request], int]:
    """A server with a page, which answers whatever is sent to it, and lets every page read: with its requests and port."""
    requests = list[web.Request]()

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        requests.append(request)
        headers = {"access-control-allow-origin": "*", "access-control-allow-headers": "content-type"}
        return web.Response(text="<html><body>page</body></html>", content_type="text/html", headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, requests, runner.addresses[0][1]


def attacks(api: str, files: str) -> str:
    body = {"config": "{}", "model": "a/m", "model_id": "taken", "provider_id": "a"}
    return ATTACKS.replace("TARGETS", json.dumps([api, files])).replace("BODY", json.dumps(body))


@pytest.fixture
def notebook(tmp_path: Path) -> Generator[str]:
    """A server with an upload route, whose files go to a folder `files`."""
    command = [sys.executable, "-m", "tests.parts.notebook", str(tmp_path / "files"), "100000"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.terminate()
    assert process.wait(30) == 0
    process.stdout.close()


def stack_of(folder: Path, upstream: FakeUpstream) -> AbstractContextManager[str]:
    config = write(folder, {"a": upstream.url})
    config.write_text(json.dumps(json.loads(config.read_text()) | {"configurations": {}}))
    return serving(config, folder / "log")


@pytest.mark.exact
@pytest.mark.parametrize("site", ["http://127.0.0.1", "http://localhost", EVIL])
async def test_a_page_in_a_real_browser_neither_writes_nor_uploads(tmp_path: Path, notebook: str, site: str) -> None:
    others = [await serve_page(), await serve_page()]
    (_, _, port), (_, arrived, victim) = others
    async with running() as upstream:
        with stack_of(tmp_path, upstream) as stack:
            async with browsing(tmp_path, "MAP *.example 127.0.0.1") as page:
                await page.open(f"{site}:{port}/")
                assert await page.run(attacks(victim_url := f"http://127.0.0.1:{victim}", victim_url)) == "read 200"
                assert len(arrived) > 50  # where nobody minds
                assert await page.run(attacks(stack, f"{notebook}/v1/folders/f/files")) == "cannot read"
            async with httpx.AsyncClient(base_url=stack) as program:
                assert (await program.get("/v1/configurations")).json()["data"] == []
                assert [row["id"] for row in (await program.get("/v1/models")).json()["data"]] == ["a/m"]
            assert "POST" not in {request.method for request in upstream.seen}
    log = (tmp_path / "log").read_text()
    assert log.count("403 POST /v1/configurations") >= 10
    assert not re.search(r"core\.requests: [25]\d\d POST", log)
    assert list((tmp_path / "files").iterdir()) == []
    for runner, _, _ in others:
        await runner.cleanup()


@pytest.mark.exact
async def test_a_page_whose_dns_becomes_this_machine_reaches_nothing(tmp_path: Path, stack: str) -> None:
    async with browsing(tmp_path, "MAP *.example 127.0.0.1") as page:
        await page.open(f"{stack.replace('127.0.0.1', 'rebound.example')}/v1/version")
        assert "rebound.example" in await page.run("document.body.innerText")
        options = "{method: 'POST', headers: {'content-type': 'application/json'}, body: '{}'}"
        for arguments in ("'/v1/models'", f"'/v1/models', {options}"):
            assert await page.run(f"fetch({arguments}).then(answer => answer.status)") == 403


@pytest.mark.exact
async def test_programs_do_what_no_page_can(tmp_path: Path, notebook: str) -> None:
    (tmp_path / "a.txt").write_text("mine")
    form = ["curl", "-sS", "-F", f"file=@{tmp_path}/a.txt", "-F", "purpose=batch", f"{notebook}/v1/folders/f/files"]
    assert json.loads(await output(*form))["filename"] == "a.txt"
    python = await asyncio.to_thread(python_of, "openai-3")
    async with running() as upstream:
        with stack_of(tmp_path, upstream) as stack:
            script = (
                f"import openai; client = openai.OpenAI(base_url='{stack}/v1', api_key='none')\n"
                "turn = [{'role': 'user', 'content': 'Hi'}]\n"
                "print(client.chat.completions.create(model='a/m', messages=turn).object)"
            )
            assert await output(str(python), "-c", script) == b"chat.completion\n"


async def output(*command: str) -> bytes:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    written, _ = await process.communicate()
    assert process.returncode == 0
    return written
