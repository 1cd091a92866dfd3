"""A page in a real browser, of whatever site, neither writes nor uploads nor reads; programs do what no page can."""

import asyncio
from collections.abc import Generator
from contextlib import AbstractContextManager
import json
from pathlib import Path
import re
import subprocess
import sys

from aiohttp import web
import httpx
import pytest

from infra.local.clients import python_of
from tests.contract.test_serve import write
from tests.parts.browser import browsing
from tests.parts.stack import ROOT, serving
from tests.parts.upstream import FakeUpstream, running

EVIL = "http://evil.example"
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
async def test_a_page_whose_dns_becomes_this_machine_reaches_nothing(tmp_path: Path) -> None:
    async with running() as upstream, browsing(tmp_path, "MAP *.example 127.0.0.1") as page:
        with stack_of(tmp_path, upstream) as stack:
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


CHAT = """
(async () => {
  const answer = await fetch(API + "/v1/chat/completions", {method: "POST", body: JSON.stringify(BODY),
    headers: {"content-type": "application/json", authorization: "Bearer KEY", "x-stainless-lang": "js"}});
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader(), pieces = [];
  for (let next = await reader.read(); !next.done; next = await reader.read()) pieces.push(next.value);
  return [answer.status, Boolean(answer.headers.get("x-request-id")), pieces.join("")];
})()
"""


@pytest.mark.exact
async def test_a_page_of_an_allowed_origin_chats_with_streaming_and_one_of_another_does_not(tmp_path: Path) -> None:
    other = await serve_page()
    runner, _, port = other
    page_url = f"http://app.example:{port}"
    async with running() as upstream:
        config = write(tmp_path, {"a": upstream.url}, cors={"allow_origins": [page_url]})
        with serving(config, tmp_path / "log") as stack:
            async with browsing(tmp_path, "MAP *.example 127.0.0.1") as page:
                turn = {"model": "a/m", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
                script = CHAT.replace("API", json.dumps(stack)).replace("BODY", json.dumps(turn))
                await page.open(f"{page_url}/")
                status, has_id, text = await page.run(script)
                assert (status, has_id) == (200, True)
                assert text.count("data: ") > 1
                assert text.endswith("data: [DONE]\n\n")
                reading = f"fetch('{stack}/nowhere').then(answer => answer.json()).then(body => body.error.code)"
                assert await page.run(reading) == "not_found"
                await page.open(f"http://evil.example:{port}/")
                assert await page.run(script.strip() + ".catch(() => 'refused')") == "refused"
    await runner.cleanup()


@pytest.mark.exact
async def test_the_page_draws_the_document_asks_for_a_token_and_sends_what_it_shows(tmp_path: Path) -> None:
    """At /docs, and at / behind another name of the path: nothing is blocked by its policy, and it fits a phone."""
    async with running() as upstream, browsing(tmp_path, "MAP *.example 127.0.0.1") as page:
        with serving(write(tmp_path, {"a": upstream.url}), tmp_path / "log") as stack:
            await page.command(
                "Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=1, mobile=True
            )
            for path in ("/", "/docs"):
                await page.open(f"{stack}{path}")
                await page.run(until("document.querySelector('.op')"))
                assert await page.run("document.querySelectorAll('.op').length") > 20
                assert await page.run("document.documentElement.scrollWidth") == 360
            await page.run("location.hash = 'post_v1_chat_completions'")
            chat = "document.querySelector('#post_v1_chat_completions')"
            await page.run(until(f"{chat}.querySelector('textarea')"))
            assert await page.run(f"{chat}.textContent.includes('/v1/openai/v1/chat/completions')")
            await page.run(
                f"(() => {{ const area = {chat}.querySelector('textarea'); "
                f"area.value = area.value.replace('PROVIDER/MODEL', 'a/m'); {chat}.querySelector('button.main').click(); }})()"
            )
            await page.run(until(f"{chat}.querySelector('.good[role=status]')"))
            assert "chat.completion" in await page.run(f"{chat}.querySelector('pre[aria-label=Answer]').textContent")
            assert await page.run("document.documentElement.scrollWidth") == 360
        auth = {"providers": [{"type": "api_key"}]}
        with serving(write(tmp_path, {"a": upstream.url}, auth=auth), tmp_path / "log") as stack:
            await page.open(f"{stack}/docs")
            await page.run(until("document.querySelector('#state').textContent.includes('asks for a token')"))
            assert await page.run("document.activeElement.id") == "token"


def until(condition: str) -> str:
    """A script that ends once `condition` holds."""
    return f"new Promise(done => {{ const look = () => {condition} ? done(1) : setTimeout(look, 20); look(); }})"
