"""A caller opens streams without end: each is one of `server.quota.max_streams` until its last byte, or until it is left."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.parts.live_stack import CHAT, client_of, run_config
from tests.parts.stack import serving
from tests.parts.upstream import CHAT as ANSWER
from tests.parts.upstream import CHUNKS, FakeUpstream, in_thread, in_turn, raw, running, status, stream

COMPLETIONS = "/v1/chat/completions"
STREAM = CHAT | {"stream": True}


def limited(folder: Path, url: str, **quota: Any) -> dict[str, Any]:
    store = {"type": "sqlite", "db_path": str(folder / "registry.db")}
    section = {"kvstore": {"type": "sqlite", "db_path": str(folder / "quota.db")}, "anonymous_max_requests": 7, **quota}
    return run_config(url, store, server={"quota": section})


@pytest.fixture
async def upstream() -> AsyncGenerator[FakeUpstream]:
    async with running() as upstream:
        yield upstream


async def test_whole_refused_and_broken_streams_and_other_calls_hold_nothing(
    upstream: FakeUpstream, tmp_path: Path
) -> None:
    upstream.replies["/v1/chat/completions"] = in_turn(
        stream(CHUNKS), raw(b"no JSON"), stream(CHUNKS[:1], done=False), stream(CHUNKS), status(200, ANSWER)
    )
    bodies = [*[STREAM] * 4, CHAT, STREAM | {"messages": 5}, STREAM | {"model": "none"}, STREAM]
    async with client_of(limited(tmp_path, upstream.url, max_streams=1)) as client:
        statuses = [(await client.post(COMPLETIONS, json=body)).status_code for body in bodies]
    assert statuses == [200, 502, 200, 200, 200, 400, 404, 429]  # the last by the period's quota


async def test_one_stream_too_many_is_refused_and_takes_nothing_of_the_quota(
    upstream: FakeUpstream, tmp_path: Path
) -> None:
    async with client_of(limited(tmp_path, upstream.url, max_streams=0)) as client:
        for _ in range(9):
            answer = await client.post(COMPLETIONS, json=STREAM)
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_streams")
            assert answer.headers["retry-after"] == "5"
        assert (await client.post(COMPLETIONS, json=CHAT)).status_code == 200
        assert not any(seen.body.get("stream") for seen in upstream.seen if seen.body)


async def test_streams_that_are_open_count_in_every_process_and_until_they_are_left(tmp_path: Path) -> None:
    document = tmp_path / "run.yaml"
    upstream = FakeUpstream(replies={"/v1/chat/completions": stream(CHUNKS[:1], hang=True)})
    with in_thread(upstream):
        document.write_text(httpx.Response(200, json=limited(tmp_path, upstream.url, max_streams=2)).text)
        with serving(document, tmp_path / "one.log") as one, serving(document, tmp_path / "two.log") as two:
            async with httpx.AsyncClient(timeout=60) as client, AsyncExitStack() as last:
                texts: list[AsyncIterator[str]] = []  # httpx closes what nobody iterates over any more
                async with AsyncExitStack() as streams:
                    for url in (one, two):
                        answer = await streams.enter_async_context(
                            client.stream("POST", f"{url}{COMPLETIONS}", json=STREAM)
                        )
                        assert answer.status_code == 200
                        texts.append(answer.aiter_text())
                        assert "Hel" in await anext(texts[-1])
                    for url in (one, two):
                        refusal = await client.post(f"{url}{COMPLETIONS}", json=STREAM)
                        assert refusal.status_code == 429, refusal.text
                        assert refusal.json()["error"]["code"] == "too_many_streams"
                for _ in range(100):  # until the servers know that the client has left
                    answer = await last.enter_async_context(client.stream("POST", f"{one}{COMPLETIONS}", json=STREAM))
                    if answer.status_code == 200:
                        break
                assert answer.status_code == 200
