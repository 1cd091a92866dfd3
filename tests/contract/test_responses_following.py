"""A response's stream on a terminal, from a server whose connections end before the response does."""

from typing import Any, Final

from aiohttp import web
from click.testing import CliRunner, Result
import pytest

from core.cli.main import command
from tests.parts.upstream import FakeUpstream, Reply, in_thread, in_turn, status, stream

ID: Final = "resp_1"
BEGUN: Final = {"id": ID, "store": True, "status": "in_progress", "output": []}
DONE: Final = BEGUN | {"status": "completed"}


def numbered(*events: dict[str, Any], start: int = 0) -> list[dict[str, Any]]:
    return [{**event, "sequence_number": number} for number, event in enumerate(events, start)]


def delta(text: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "delta": text}


FIRST: Final = numbered({"type": "response.created", "response": BEGUN}, delta("One, "))
SECOND: Final = numbered(delta("two, "), start=2)
THIRD: Final = numbered(delta("three."), {"type": "response.completed", "response": DONE}, start=3)


async def broken(request: web.Request) -> web.StreamResponse:
    """SECOND, and the end of the connection in the middle of what follows."""
    answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await answer.prepare(request)
    await answer.write(
        b'data: {"type": "response.output_text.delta", "delta": "two, ", "sequence_number": 2}\n\ndata: {"t'
    )
    assert request.transport is not None
    request.transport.abort()
    return answer


def run(stack: FakeUpstream, *words: str) -> Result:
    return CliRunner(env={"LLAMBDA_URL": stack.url}).invoke(command, ["responses", *words], standalone_mode=False)


@pytest.mark.parametrize("middle", [stream(SECOND, done=False), broken], ids=["ended", "broken"])
def test_a_stream_that_breaks_is_taken_up_where_it_broke(middle: Reply) -> None:
    rest, behind = in_turn(middle, stream(THIRD, done=False)), list[str]()

    async def go_on(request: web.Request) -> web.StreamResponse:
        behind.append(request.query["starting_after"])
        return await rest(request)

    replies = {"/v1/responses": stream(FIRST, done=False), f"/v1/responses/{ID}": go_on}
    with in_thread(FakeUpstream(replies=replies)) as stack:
        asked = run(stack, "create", "Count.", "--model", "m")
        assert (asked.return_value, asked.stdout) == (0, "One, two, three.\n"), asked.stderr
    assert behind == ["1", "2"]


def test_one_that_is_followed_begins_where_it_is_told_and_ends_with_the_response() -> None:
    with in_thread(FakeUpstream(replies={f"/v1/responses/{ID}": stream(THIRD, done=False)})) as stack:
        shown = run(stack, "show", ID, "--follow", "--starting-after", "2")
    assert (shown.return_value, shown.stdout) == (0, "three.\n")
    assert f"{ID}: completed" in shown.stderr


def test_one_in_the_background_is_named_and_followed_or_stopped_by_its_name() -> None:
    queued = status(200, FULL | {"status": "queued"})
    stopped = status(200, FULL | {"status": "cancelled"})
    with in_thread(FakeUpstream(replies={"/v1/responses": queued, f"/v1/responses/{ID}/cancel": stopped})) as stack:
        begun = run(stack, "create", "Count.", "--model", "m", "--background")
        assert (begun.return_value, begun.stdout) == (0, f"{ID}\n")
        assert f"`llambda responses show {ID} --follow`" in begun.stderr
        assert stack.seen[0].body["background"] is True
        assert run(stack, "cancel", ID).stdout == f"{ID}: cancelled\n"


FULL: Final[dict[str, Any]] = DONE | {
    "object": "response",
    "created_at": 1,
    "completed_at": None,
    "error": None,
    "incomplete_details": None,
    "model": "m",
    "usage": None,
    "conversation": None,
    "previous_response_id": None,
    "instructions": None,
    "tools": [],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "max_tool_calls": None,
    "max_output_tokens": None,
    "text": {},
    "reasoning": None,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_logprobs": 0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "truncation": "disabled",
    "background": True,
    "metadata": {},
    "service_tier": "default",
    "safety_identifier": None,
    "prompt_cache_key": None,
}
