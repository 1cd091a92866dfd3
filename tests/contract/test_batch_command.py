"""`llambda batch submit --wait` against `llambda serve`: killed in the middle and given again, with the stack started again while it waits."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from click.testing import CliRunner
import httpx
import pytest

from core.cli.main import command
from tests.parts.batch_stack import chat_line, jsonl, plain_document
from tests.parts.stack import ROOT, serving
from tests.parts.upstream import CHAT, FakeUpstream, in_thread

LINES = 200
SECONDS = 90


async def slow(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(0.3)
    return web.json_response(CHAT)


@pytest.fixture
def upstream() -> Generator[FakeUpstream]:
    with in_thread(FakeUpstream(replies={"/v1/chat/completions": slow})) as upstream:
        yield upstream


@contextmanager
def submitting(url: str, file: Path, folder: Path) -> Generator[subprocess.Popen[bytes]]:
    words = ["batch", "submit", str(file), "--wait", "--out", str(folder), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "core.cli.main", *words],
        cwd=ROOT,
        env=os.environ | {"LLAMBDA_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for_lines(url: str, least: int) -> dict[str, Any]:
    """The one batch, once so many of its lines were answered."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        batches = httpx.get(f"{url}/v1/batches").json()["data"]
        if batches and batches[0]["request_counts"]["completed"] >= least:
            assert len(batches) == 1
            return dict(batches[0])
        time.sleep(0.1)
    raise AssertionError(least)


@pytest.mark.exact
def test_a_command_that_was_killed_goes_on_with_its_batch_and_outlives_the_stack(
    tmp_path: Path, upstream: FakeUpstream
) -> None:
    config, file, folder = tmp_path / "run.json", tmp_path / "rows.jsonl", tmp_path / "answers"
    config.write_text(json.dumps(plain_document(tmp_path, upstream.url)))
    file.write_bytes(jsonl(chat_line(f"c{number}") for number in range(LINES)))
    with serving(config, tmp_path / "first.txt") as url:
        port = str(urlsplit(url).port)
        with submitting(url, file, folder) as first:
            batch = wait_for_lines(url, 1)
            os.kill(first.pid, signal.SIGKILL)
        again = submitting(url, file, folder)
        second = again.__enter__()
        time.sleep(1)
        assert second.poll() is None
    with serving(config, tmp_path / "second.txt", "--port", port) as url:
        out, err = second.communicate(timeout=SECONDS)
        ended = json.loads(out)
        assert (second.returncode, ended["id"], ended["status"]) == (0, batch["id"], "completed"), err
        assert b"The batch goes on without this command, which asks again." in err
        assert ended["request_counts"] == {"total": LINES, "completed": LINES, "failed": 0}
        [path] = folder.iterdir()
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        assert [line["custom_id"] for line in lines] == [f"c{number}" for number in range(LINES)]
        assert len(httpx.get(f"{url}/v1/files", params={"purpose": "batch"}).json()["data"]) == 1
        runner = CliRunner(env={"LLAMBDA_URL": url, "COLUMNS": "80"})
        shown = runner.invoke(command, ["batch", "submit", str(file), "--wait"], standalone_mode=False)
        assert f"batch:    {batch['id']}" in shown.stdout
        assert max(map(len, shown.stdout.splitlines())) <= 80
        other = runner.invoke(command, ["batch", "submit", str(file), "--new", "--json"], standalone_mode=False)
        assert json.loads(other.stdout)["id"] != batch["id"]
    again.__exit__(None, None, None)
