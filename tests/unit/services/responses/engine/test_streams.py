"""Whatever a model and its tools do, round after round: the engine's events are valid, and so is the stream that clients get."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.apis.responses import ResponseRequest
from core.apis.retrieval import Passage
from core.errors import ApiError, ProviderUnavailable, UpstreamFailed
from core.frame.types import JsonObject
from core.services.responses.contract import Event, RunEnded
from core.services.responses.printing.events import EventPrinter
from core.services.responses.printing.objects import begin_response, end_response
from tests.parts.response_schema import check_stream
from tests.unit.services.responses.engine.script import (
    FunctionTool,
    HostedTool,
    ScriptedModel,
    a_run,
    chunk,
    items_of,
    play,
    usage,
)

NAMES = ("own", "one", "two", "bad", "late", "nothing")
WORDS = st.sampled_from(["So", " it", " is <|file-a|>", " [page](https://a.example/)", ".", "\n", " "])
DELTAS = st.one_of(
    st.fixed_dictionaries({"content": WORDS}),
    st.fixed_dictionaries({"reasoning": WORDS}),
    st.fixed_dictionaries({"refusal": st.just("No.")}),
    st.fixed_dictionaries(
        {"reasoning_details": st.just([{"type": "reasoning.summary", "summary": "Hm.", "index": 0}])}
    ),
    st.builds(
        lambda place, name, arguments: {
            "tool_calls": [{"index": place, "id": f"c{place}", "function": {"name": name, "arguments": arguments}}]
        },
        st.integers(0, 2),
        st.sampled_from(NAMES),
        st.sampled_from(["", "{}", '{"a": 1}', "no json"]),
    ),
    st.builds(
        lambda place, text: {"tool_calls": [{"index": place, "function": {"arguments": text}}]},
        st.integers(0, 2),
        WORDS,
    ),
)
FINISHES = st.sampled_from(["stop", "tool_calls", "tool_calls", "length", "content_filter", None])
FAILURES: st.SearchStrategy[list[Any]] = st.sampled_from([[], [], [], [UpstreamFailed("It broke.")]])
ANSWERS = st.builds(
    lambda deltas, failure, finish: [*(chunk(dict(delta)) for delta in deltas), *failure, chunk({}, finish), usage()],
    st.lists(DELTAS, max_size=6),
    FAILURES,
    FINISHES,
)
ROUNDS = st.lists(ANSWERS, min_size=3, max_size=3)


def tools(failure: ApiError | None) -> list[FunctionTool | HostedTool]:
    passages = [Passage(1, "x", 0.5, "vs", "file-a", "a.md")]
    pages = [{"url": "https://a.example/", "title": "A"}]
    return [
        FunctionTool("own"),
        HostedTool("one", passages=passages),
        HostedTool("two", sources=pages),
        HostedTool("bad", failure=failure),
        HostedTool("late", begins=False),
    ]


def stream_of(events: list[Event]) -> list[JsonObject]:
    response = begin_response(ResponseRequest(model="m", input="hi"), None)
    printer = EventPrinter(response, ())
    stream = [event.data for event in printer.begin()]
    for event in events:
        if isinstance(event, RunEnded):
            end_response(response, event, items_of(events))
        stream += [printed.data for printed in printer.print(event)]
    return stream


@settings(max_examples=40, deadline=None)
@given(
    ROUNDS,
    st.sampled_from([None, ProviderUnavailable("gone")]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, 9, 30]),
)
def test_a_random_run_is_a_valid_stream(
    rounds: list[Any],
    failure: ApiError | None,
    most_calls: int | None,
    most_tokens: int | None,
) -> None:
    run = a_run(*tools(failure), max_rounds=3, max_tool_calls=most_calls, max_output_tokens=most_tokens)
    events = asyncio.run(play(run, ScriptedModel(rounds)))
    response = check_stream(stream_of(events))
    assert response["output"] == [
        {**item, "content": [{**part, "logprobs": []} if "logprobs" in part else part for part in item["content"]]}
        if item["type"] == "message"
        else item
        for item in items_of(events)
    ]
