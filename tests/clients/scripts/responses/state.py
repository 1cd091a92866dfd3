"""What is kept: chains, forks, conversations; and what is refused or fails."""

from typing import Any

from tests.clients.scripts.harness import refusal, run
from tests.clients.scripts.responses.asking import MODEL, WEATHER, check_events, openai, streamed
from tests.parts.model_script import Call, Round, write_script


def ends_that_are_no_success(url: str) -> None:
    from openai import APIStatusError, RateLimitError

    client = openai(url)
    create = client.responses.create
    refusal(RateLimitError, lambda: create(model=MODEL, input=write_script(Round(status=429)), stream=True))
    refusal(APIStatusError, lambda: create(model=MODEL, input=write_script(Round(status=500))))
    for ends in ("error", "cut", "unfinished"):
        last = last_event(client, Round("Hello there, all of you", ends=ends))
        assert last.type == "response.failed", last
        assert (last.response.status, last.response.error.code) == ("failed", "server_error")
        assert last.response.output[0].status == "incomplete"
    cut = last_event(client, Round("Hello there"), max_output_tokens=16)
    assert cut.type == "response.completed"
    cut = last_event(client, Round("Hello there " * 20), max_output_tokens=16)
    assert (cut.type, cut.response.incomplete_details.reason) == ("response.incomplete", "max_output_tokens")
    filtered = last_event(client, Round("Hello", finish="content_filter"))
    assert (filtered.type, filtered.response.incomplete_details.reason) == ("response.incomplete", "content_filter")


def last_event(client: Any, *rounds: Round, **asked: Any) -> Any:
    with client.responses.stream(model=MODEL, input=write_script(*rounds), **asked) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    return events[-1]


def unknown_things(url: str) -> None:
    from openai import BadRequestError, NotFoundError

    client = openai(url)
    create = client.responses.create
    refusal(NotFoundError, lambda: create(model="local/none", input="Hi", stream=True))
    refusal(BadRequestError, lambda: create(model=MODEL, input="Hi", include=["everything"]))
    missing = "resp_" + "0" * 48
    for call in (
        lambda: create(model=MODEL, input="Hi", previous_response_id=missing),
        lambda: create(model=MODEL, input="Hi", conversation="conv_" + "0" * 48),
        lambda: client.responses.retrieve(missing),
        lambda: client.responses.delete(missing),
        lambda: client.responses.input_items.list(missing),
    ):
        refusal(NotFoundError, call)


def a_chain_and_a_fork(url: str) -> None:
    create = openai(url).responses.create
    first = create(model=MODEL, input="I am Bo.", instructions="Be brief.")
    second = create(model=MODEL, input="Who am I?", previous_response_id=first.id)
    assert "I am Bo." in second.output_text
    assert not second.output_text.startswith("system")  # instructions are not handed on, but what was said is
    fork = create(model=MODEL, input="What then?", previous_response_id=first.id)
    assert "Who am I?" not in fork.output_text
    assert "I am Bo." in fork.output_text


def kept_responses(url: str) -> None:
    from openai import APIStatusError, NotFoundError

    client = openai(url)
    made = client.responses.create(model=MODEL, input=[{"role": "user", "content": "Hi"}], metadata={"k": "v"})
    assert client.responses.retrieve(made.id).model_dump() == made.model_dump()
    items = client.responses.input_items.list(made.id)
    assert [item.content[0].text for item in items] == ["Hi"]
    refusal(APIStatusError, lambda: client.responses.cancel(made.id))
    client.responses.delete(made.id)
    refusal(NotFoundError, lambda: client.responses.retrieve(made.id))
    unkept = client.responses.create(model=MODEL, input="Hi", store=False)
    assert unkept.store is False
    refusal(NotFoundError, lambda: client.responses.retrieve(unkept.id))


def streams_that_are_taken_up_again(url: str) -> None:
    from openai import BadRequestError

    client = openai(url)
    script = write_script(Round("Look. " * 30, pause=0.02), Round("done"))
    with client.responses.create(model=MODEL, input=script, stream=True) as stream:
        told = [next(stream) for _ in range(20)]
    made, last = told[0].response.id, told[-1].sequence_number
    assert client.responses.retrieve(made).status == "in_progress"
    told += client.responses.retrieve(made, stream=True, starting_after=last)
    check_events(told, client.responses.retrieve(made))
    assert list(client.responses.retrieve(made, stream=True)) == told
    with client.responses.stream(response_id=made) as whole:
        assert [event.type for event in whole] == [event.type for event in told]
        assert whole.get_final_response().output_text == "Look. " * 30
    with client.responses.stream(response_id=made, starting_after=last) as rest:
        assert [event.sequence_number for event in rest] == [*range(last + 1, len(told))]
    refusal(BadRequestError, lambda: client.responses.retrieve(made, stream=True, starting_after=len(told)))
    unstreamed = client.responses.create(model=MODEL, input="Hi")
    again = list(client.responses.retrieve(unstreamed.id, stream=True))
    check_events(again, unstreamed)


def runs_that_are_cancelled(url: str) -> None:
    client = openai(url)
    script = write_script(Round("Hello there", ends="hang"))
    with client.responses.create(model=MODEL, input=script, stream=True) as stream:
        made = next(stream).response.id
        assert client.responses.cancel(made).status == "cancelled"
        *_, last = stream
        assert (last.response.id, last.response.status) == (made, "cancelled")
    assert client.responses.retrieve(made).status == client.responses.cancel(made).status == "cancelled"


def conversations(url: str) -> None:
    from openai import NotFoundError

    client = openai(url)
    said = [{"type": "message", "role": "user", "content": "I am Bo."}]
    made = client.conversations.create(metadata={"k": "v"}, items=said)
    assert client.conversations.retrieve(made.id).metadata == {"k": "v"}
    assert client.conversations.update(made.id, metadata={"k": "w"}).metadata == {"k": "w"}
    answer, _ = streamed(url, input="Who am I?", conversation=made.id)
    assert answer.conversation.id == made.id
    assert "I am Bo." in answer.output_text
    again = client.responses.create(model=MODEL, input="Again?", conversation={"id": made.id})
    assert "Who am I?" in again.output_text
    items = list(client.conversations.items.list(made.id, limit=2, order="asc"))
    assert [item.role for item in items] == ["user", "user", "assistant", "user", "assistant"]
    added = client.conversations.items.create(made.id, items=[{"type": "message", "role": "user", "content": "More."}])
    one = added.data[0].id
    assert client.conversations.items.retrieve(one, conversation_id=made.id).content[0].text == "More."
    client.conversations.items.delete(one, conversation_id=made.id)
    refusal(NotFoundError, lambda: client.conversations.items.retrieve(one, conversation_id=made.id))
    client.conversations.delete(made.id)
    refusal(NotFoundError, lambda: client.conversations.retrieve(made.id))


def compaction_and_counts(url: str) -> None:
    client = openai(url)
    count = client.responses.input_tokens.count(model=MODEL, input="How long is this?", tools=[WEATHER])
    assert count.input_tokens > client.responses.input_tokens.count(model=MODEL, input="How long?").input_tokens > 0
    compacted = client.responses.compact(model=MODEL, input=[{"role": "user", "content": "I am Bo."}])
    assert compacted.output[-1].type == "compaction"
    left = [item.model_dump(exclude_none=True) for item in compacted.output]
    told = client.responses.create(model=MODEL, input=[*left, {"role": "user", "content": "Who am I?"}])
    assert "I am Bo." in told.output_text


def asynchronously(url: str) -> None:
    import asyncio

    from openai import AsyncOpenAI

    async def ask() -> None:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            script = write_script(Round("Look.", (Call("weather", {"city": "Oslo"}),)))
            async with client.responses.stream(model=MODEL, input=script, tools=[WEATHER]) as stream:
                events = [event async for event in stream]
                check_events(events, await stream.get_final_response())
            many = await asyncio.gather(*(client.responses.create(model=MODEL, input=f"Hi {n}") for n in range(8)))
            assert [each.output_text.partition("user: ")[2] for each in many] == [f"Hi {n}" for n in range(8)]

    asyncio.run(ask())


SCENARIOS = (
    ends_that_are_no_success,
    unknown_things,
    a_chain_and_a_fork,
    kept_responses,
    streams_that_are_taken_up_again,
    runs_that_are_cancelled,
    conversations,
    compaction_and_counts,
    asynchronously,
)

if __name__ == "__main__":
    run(SCENARIOS)
