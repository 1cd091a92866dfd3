"""Responses that go on without their callers: in the background, streams that are taken up again, and cancelled ones."""

from collections.abc import Iterable
from itertools import islice
import time
from typing import Any, Final

from tests.clients.scripts.harness import refusal, run
from tests.clients.scripts.responses.asking import (
    MODEL,
    TEXTS,
    WEATHER,
    box,
    check_texts,
    kinds,
    openai,
    plain,
    streamed,
)
from tests.parts.model_script import Call, Round, write_script

RUNNING: Final = ("queued", "in_progress")
GREET: Final = Call("greet", {"name": "Bo"})
SLOW: Final = Round("Hello there, all of you who have come from far away", pause=0.03)
FOR_EVER: Final = Round("Hello there, all of you", ends="hang")
ENDS: Final = ("response.completed", "response.incomplete", "response.failed")


def polled(client: Any, name: str) -> Any:
    until = time.monotonic() + 60
    while (found := client.responses.retrieve(name)).status in RUNNING:
        assert time.monotonic() < until, found
        time.sleep(0.05)
    return found


def seen(client: Any, name: str) -> Any:
    """A stream that has just begun is there to be got when a first part of it is kept."""
    from openai import NotFoundError

    for _ in range(40):
        try:
            return client.responses.retrieve(name)
        except NotFoundError:
            time.sleep(0.05)
    raise AssertionError("it is not there")


def check_numbers(events: Iterable[Any], first: int = 0) -> None:
    numbers = [event.sequence_number for event in events]
    assert numbers == list(range(first, first + len(numbers))), numbers


def check_whole(events: list[Any], final: Any) -> None:
    """As `asking.check_events`, but that a background response begins as queued."""
    check_numbers(events)
    began = [event.type for event in events[:3]]
    assert began[0] == "response.created", began
    assert "response.in_progress" in began, began
    assert events[-1].response.id == final.id == events[0].response.id
    done = {event.output_index: event.item for event in events if event.type == "response.output_item.done"}
    assert [plain(done[at]) for at in sorted(done)] == [plain(item) for item in final.output]
    for kind, whole in TEXTS.items():
        check_texts(events, kind, whole)


def dumped(events: Iterable[Any]) -> list[dict[str, Any]]:
    return [event.model_dump(warnings=False) for event in events]


def in_the_background_and_polled(url: str) -> None:
    client = openai(url)
    made = client.responses.create(model=MODEL, input=write_script(SLOW), background=True, metadata={"k": "v"})
    assert (made.status, made.background, made.output) == ("queued", True, [])
    done = polled(client, made.id)
    assert (done.status, done.output_text, done.background) == ("completed", SLOW.text, True)
    assert (done.id, done.created_at, done.metadata) == (made.id, made.created_at, {"k": "v"})
    assert done.usage.output_tokens > 0
    then = client.responses.create(model=MODEL, input="What did you say?", previous_response_id=made.id)
    assert SLOW.text in then.output_text
    items = client.responses.input_items.list(made.id)
    assert [item.role for item in items] == ["user"]


def in_the_background_with_tools(url: str) -> None:
    client = openai(url)
    rounds = write_script(Round("Look. ", (GREET,)), Round("It said: {quote}"))
    made = client.responses.create(
        model=MODEL, input=rounds, background=True, tools=[box(require_approval="never", authorization="secret-1")]
    )
    done = polled(client, made.id)
    assert done.output_text == "Look. It said: Hello, Bo!"
    assert kinds(done) == ["mcp_list_tools", "message", "mcp_call", "message"]
    assert "secret-1" not in done.model_dump_json(warnings=False)
    asked = write_script(Round("", (Call("weather", {"city": "Oslo"}),)))
    waits = polled(client, client.responses.create(model=MODEL, input=asked, background=True, tools=[WEATHER]).id)
    assert (waits.status, waits.output[0].type) == ("completed", "function_call")


def in_the_background_and_streamed(url: str) -> None:
    client = openai(url)
    rounds = write_script(Round("Look. ", (GREET,)), Round("It said: {quote}"))
    tools = [box(require_approval="never")]
    events = list(client.responses.create(model=MODEL, input=rounds, background=True, stream=True, tools=tools))
    assert events[0].response.background is True
    assert events[0].response.status == "queued"
    final = client.responses.retrieve(events[0].response.id)
    assert final.status == "completed"
    check_whole(events, final)
    with client.responses.stream(model=MODEL, input=write_script(SLOW), background=True) as stream:
        told = list(stream)
        assert stream.get_final_response().output_text == SLOW.text
    check_numbers(told)


def a_stream_is_left_and_taken_up(url: str) -> None:
    """In the background, and in the foreground: what is stored goes on without its reader."""
    client = openai(url)
    for background in (True, False):
        for left in (1, 4, 9):
            asked: Any = {"model": MODEL, "input": write_script(SLOW), "background": background}
            stream = client.responses.create(**asked, stream=True)
            first = list(islice(stream, left))
            stream.close()
            name, last = first[0].response.id, first[-1].sequence_number
            rest = list(client.responses.retrieve(name, stream=True, starting_after=last))
            check_whole([*first, *rest], client.responses.retrieve(name))
            assert rest[-1].type == "response.completed"
            again = list(client.responses.retrieve(name, stream=True))
            assert dumped(again) == dumped([*first, *rest])


def a_stream_is_taken_up_anywhere(url: str) -> None:
    """While it runs by the helper, which looks at what came before; and after its end behind each of its events."""
    client = openai(url)
    rounds = write_script(Round("Look. ", (GREET,)), Round("It said: {quote}", reasoning="I see.", pause=0.02))
    with client.responses.stream(model=MODEL, input=rounds, tools=[box(require_approval="never")]) as stream:
        whole = list(stream)
    name = whole[0].response.id
    raw = list(client.responses.retrieve(name, stream=True))
    check_whole(raw, client.responses.retrieve(name))
    for at in range(len(raw) - 1):
        rest = list(client.responses.retrieve(name, stream=True, starting_after=at))
        assert dumped(rest) == dumped(raw[at + 1 :]), at
    with client.responses.stream(response_id=name, starting_after=5) as stream:
        behind = list(stream)
        assert stream.get_final_response().output_text == "Look. It said: Hello, Bo!"
    check_numbers(behind, 6)
    assert [event.type for event in behind] == [event.type for event in whole[6:]]
    made = client.responses.create(model=MODEL, input=write_script(SLOW), background=True)
    with client.responses.stream(response_id=made.id, starting_after=2) as stream:
        check_numbers(list(stream), 3)
        assert stream.get_final_response().output_text == SLOW.text


def an_answer_without_a_stream_is_told_as_one(url: str) -> None:
    client = openai(url)
    asked: Any = {"model": MODEL, "tools": [box(require_approval="never")]}
    made = client.responses.create(**asked, input=write_script(Round("Look. ", (GREET,)), Round("{quote}")))
    told = list(client.responses.retrieve(made.id, stream=True))
    check_whole(told, made)
    with client.responses.stream(response_id=made.id) as stream:
        assert stream.get_final_response().output_text == "Look. Hello, Bo!"


def one_runs_in_a_conversation(url: str) -> None:
    from openai import ConflictError

    client = openai(url)
    where = client.conversations.create()
    asked: Any = {"model": MODEL, "conversation": where.id}
    made = client.responses.create(**asked, input=write_script(FOR_EVER), background=True)
    for background in (True, False):
        second: Any = {**asked, "input": "Hi", "background": background}
        locked = refusal(ConflictError, lambda body=second: client.responses.create(**body))  # type: ignore[misc]
        assert locked.code == "conversation_locked"
    assert client.responses.cancel(made.id).status == "cancelled"
    done = polled(client, client.responses.create(**asked, input="Hi", background=True).id)
    assert (done.status, done.conversation.id) == ("completed", where.id)
    items = list(client.conversations.items.list(where.id, order="asc"))
    assert [item.role for item in items] == ["user", "assistant"]


def what_runs_is_cancelled(url: str) -> None:
    """In the background, polled or streamed, and a stream of the foreground; what was whole is kept, and again is the same."""
    client = openai(url)
    rounds = write_script(Round("Look. ", (GREET,)), FOR_EVER)
    asked: Any = {"model": MODEL, "input": rounds, "tools": [box(require_approval="never")]}
    for background in (True, False):
        stream = client.responses.create(**asked, background=background, stream=True)
        name, said = "", []
        for event in stream:
            name = name or event.response.id
            said.append(event)
            if event.type == "response.output_text.delta" and event.delta.startswith("Hell"):
                break
        running = seen(client, name)
        assert running.status == "in_progress"
        assert kinds(running)[:3] == ["mcp_list_tools", "message", "mcp_call"]
        ended = client.responses.cancel(name)
        assert ended.status == "cancelled"
        rest = list(stream)
        check_numbers([*said, *rest])
        assert not rest or rest[-1].type not in ENDS or rest[-1].response.status == "cancelled"
        kept = client.responses.retrieve(name)
        assert (kept.status, kinds(kept)[:3]) == ("cancelled", ["mcp_list_tools", "message", "mcp_call"])
        assert client.responses.cancel(name).model_dump() == kept.model_dump()
        told = list(client.responses.retrieve(name, stream=True))
        assert dumped(told) == dumped([*said, *rest])


def what_is_queued_is_cancelled_at_once(url: str) -> None:
    client = openai(url)
    made = [client.responses.create(model=MODEL, input=write_script(FOR_EVER), background=True) for _ in range(3)]
    for each in made:
        assert client.responses.cancel(each.id).status == "cancelled"
    assert [client.responses.retrieve(each.id).status for each in made] == ["cancelled"] * 3


def what_ended_is_not_cancelled(url: str) -> None:
    from openai import BadRequestError

    client = openai(url)
    for background in (True, False):
        made = client.responses.create(model=MODEL, input="Hi", background=background)
        done = polled(client, made.id)
        told = refusal(BadRequestError, lambda name=done.id: client.responses.cancel(name))  # type: ignore[misc]
        assert "completed" in str(told), told
        assert client.responses.retrieve(made.id).status == "completed"


def what_runs_is_deleted(url: str) -> None:
    from openai import NotFoundError

    client = openai(url)
    made = client.responses.create(model=MODEL, input=write_script(FOR_EVER), background=True)
    client.responses.delete(made.id)
    refusal(NotFoundError, lambda: client.responses.retrieve(made.id))
    refusal(NotFoundError, lambda: client.responses.cancel(made.id))
    refusal(NotFoundError, lambda: list(client.responses.retrieve(made.id, stream=True)))


def ends_in_the_background(url: str) -> None:
    """What fails there has no status to be told with: it is in the response."""
    client = openai(url)
    for failing in (Round(status=500), Round("Hello there, all", ends="error"), Round("Hello there, all", ends="cut")):
        done = polled(client, client.responses.create(model=MODEL, input=write_script(failing), background=True).id)
        assert (done.status, done.error.code) == ("failed", "server_error"), done
        told = list(client.responses.retrieve(done.id, stream=True))
        check_numbers(told)
        assert told[-1].type == "response.failed"
    cut = client.responses.create(
        model=MODEL, input=write_script(Round("Hello there " * 20)), max_output_tokens=16, background=True
    )
    done = polled(client, cut.id)
    assert (done.status, done.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def what_cannot_be(url: str) -> None:
    from openai import BadRequestError, NotFoundError

    client = openai(url)
    create, retrieve = client.responses.create, client.responses.retrieve
    refusal(BadRequestError, lambda: create(model=MODEL, input="Hi", background=True, store=False))
    missing = "resp_" + "0" * 48
    refusal(NotFoundError, lambda: list(retrieve(missing, stream=True)))
    refusal(NotFoundError, lambda: client.responses.cancel(missing))
    made, events = streamed(url, Round("Hello."))
    last = events[-1].sequence_number
    for after in (last + 1, last + 1000, -1):
        told = refusal(BadRequestError, lambda n=after: list(retrieve(made.id, stream=True, starting_after=n)))  # type: ignore[misc]
        assert after < 0 or str(last) in str(told), told
    assert list(retrieve(made.id, stream=True, starting_after=last)) == []


def in_the_background_asynchronously(url: str) -> None:
    import asyncio

    from openai import AsyncOpenAI

    async def ask() -> None:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            asked: Any = {"model": MODEL, "input": write_script(SLOW), "background": True}
            made = await asyncio.gather(*(client.responses.create(**asked) for _ in range(4)))
            for each in made:
                async with client.responses.stream(response_id=each.id, starting_after=1) as stream:
                    check_numbers([event async for event in stream], 2)
                    assert (await stream.get_final_response()).output_text == SLOW.text

    asyncio.run(ask())


SCENARIOS = (
    in_the_background_and_polled,
    in_the_background_with_tools,
    in_the_background_and_streamed,
    a_stream_is_left_and_taken_up,
    a_stream_is_taken_up_anywhere,
    an_answer_without_a_stream_is_told_as_one,
    one_runs_in_a_conversation,
    what_runs_is_cancelled,
    what_is_queued_is_cancelled_at_once,
    what_ended_is_not_cancelled,
    what_runs_is_deleted,
    ends_in_the_background,
    what_cannot_be,
    in_the_background_asynchronously,
)

if __name__ == "__main__":
    run(SCENARIOS)
