"""What a model is asked of a run, and what a text that it writes is read for: links, marks, thoughts."""

from typing import Any

import pytest

from core.apis.additions import Addition
from core.apis.retrieval import Passage
from core.frame.types import JsonObject
from core.services.responses.contract import StepDone
from core.services.responses.engine.chat import ask
from core.services.responses.engine.citing import Shown
from core.services.responses.engine.links import MOST_LINK, LinkReader
from core.services.responses.engine.thoughts import MOST_BLOCKS, Thoughts
from tests.unit.services.responses.engine.script import FunctionTool, a_run

TOLD: list[JsonObject] = [{"role": "user", "content": "hi"}]
THOUGHT: JsonObject = {"role": "assistant", "content": "so", "reasoning_content": "hm", "thinking_blocks": [{}]}


def test_a_request_has_what_the_run_says_and_no_more() -> None:
    request = ask(a_run(), TOLD, tool_choice="auto", most_tokens=None)
    assert request.model_dump(exclude_unset=True) == {
        "model": "m",
        "messages": TOLD,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert request.additions == ()
    run = a_run(
        FunctionTool("f"), chat={"temperature": 0.5, "user": "u", "verbosity": "low"}, parallel_tool_calls=False
    )
    request = ask(run, [*TOLD, THOUGHT], tool_choice=None, most_tokens=7)
    fields = request.model_dump(exclude_unset=True)
    assert {name: fields.pop(name) for name in ("temperature", "user", "verbosity", "max_completion_tokens")} == {
        "temperature": 0.5,
        "user": "u",
        "verbosity": "low",
        "max_completion_tokens": 7,
    }
    assert (fields["parallel_tool_calls"], fields["tools"]) == (False, run.tools.definitions)
    assert "tool_choice" not in fields
    bound, thoughts, *hints = request.additions
    assert (bound.field, bound.instead) == ("max_completion_tokens", {"max_tokens": 7})
    assert thoughts.instead == {"messages": [*TOLD, {"role": "assistant", "content": "so"}]}
    assert thoughts.is_named_in("thinking_blocks: extra inputs")
    assert hints == [Addition("user", ("user",)), Addition("verbosity", ("verbosity",))]
    request = ask(a_run(FunctionTool("f")), TOLD, tool_choice="none", most_tokens=None)
    assert (request.model_extra or {})["tool_choice"] == "none"
    assert "parallel_tool_calls" not in (request.model_extra or {})


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("[A](https://a.example)", [("https://a.example/", "[A](https://a.example)")]),
        (
            "[A](https://a.example/) [B](https://b.example/)",
            [("https://a.example/", "[A](https://a.example/)"), ("https://b.example", "[B](https://b.example/)")],
        ),
        ("[A](https://a.example/x)", []),
        (
            "[" + "a" * 300 + "](https://a.example/)",
            [("https://a.example/", "[" + "a" * 300 + "](https://a.example/)")],
        ),
        ("[" + "a" * 301 + "](https://a.example/)", []),
        ("[x [A](https://a.example/)", [("https://a.example/", "[A](https://a.example/)")]),
        ('[A](https://a.example/  "t") b', [("https://a.example/", '[A](https://a.example/  "t")')]),
        ("[A] (https://a.example/)", []),
    ],
)
def test_a_link_is_found_wherever_the_text_is_cut(text: str, spans: list[tuple[str, str]]) -> None:
    for size in (1, 5, len(text)):
        reader = LinkReader({"https://a.example/": "Title", "https://b.example": ""})
        rows = [row for at in range(0, len(text), size) for row in reader.read(text[at : at + size])]
        assert [(row["url"], text[row["start_index"] : row["end_index"]]) for row in rows] == spans
        assert [row["title"] for row in rows] == [{"https://a.example/": "Title"}.get(url, "B") for url, _ in spans]


def test_what_may_become_a_link_is_kept_as_far_as_one_may_be_long() -> None:
    reader = LinkReader({"https://a.example/": ""})
    assert [*reader.read("[" + "a" * MOST_LINK)] == [*reader.read("](https://a.example/)")] == []
    (row,) = reader.read(" [A](https://a.example/)")
    assert (row["start_index"], row["title"]) == (MOST_LINK + 23, "A")


def test_pages_and_documents_that_were_shown_are_cited_and_a_title_is_not_lost() -> None:
    shown = Shown()
    assert shown.cite() is None
    found = [{"type": "file_search_call", "results": [{"file_id": "file-abc", "filename": "a.md", "text": "x"}]}]
    page: JsonObject = {"type": "web_search_call", "action": {"sources": [{"url": "https://a.example"}, {"url": 1}]}}
    shown.add_context([*found, page, {**page, "results": [{"url": "https://a.example", "title": "A"}]}, page])
    assert shown.pages == {"https://a.example": "A"}
    shown.add(StepDone({}, "", [Passage(1, "y", 0.5, "", "file-def", "d.md")], [{"url": "https://b.example"}]))
    citing = shown.cite()
    assert citing is not None
    text = citing.read("So <|file-abc|> and [B](https://b.example) <|file-def|>") + citing.close()
    rows: list[Any] = [*citing.cite(text)]
    assert text == "So and [B](https://b.example)"
    assert [(row["type"], row.get("filename") or row["url"]) for row in rows] == [
        ("file_citation", "a.md"),
        ("file_citation", "d.md"),
        ("url_citation", "https://b.example"),
    ]
    assert [row for row in citing.cite("") if row["type"] == "file_citation"] == []


def test_thoughts_are_given_back_as_they_came_however_an_upstream_numbers_them() -> None:
    thoughts = Thoughts()
    assert thoughts.fields() == {}
    thoughts.add_text("reasoning", "So")
    thoughts.add_text("reasoning", " it is.")
    for index in range(MOST_BLOCKS + 1):
        thoughts.add_blocks([{"index": MOST_BLOCKS - index, "thinking": str(index)}, "no block"])
    thoughts.add_blocks(
        [{"index": True, "thinking": "!"}, {"signature": "s"}, {"index": MOST_BLOCKS, "type": "thinking"}]
    )
    fields = thoughts.fields()
    assert fields["reasoning"] == "So it is."
    blocks = fields["thinking_blocks"]
    assert (len(blocks), blocks[0]["thinking"]) == (MOST_BLOCKS, str(MOST_BLOCKS - 1))
    assert blocks[-1] == {"thinking": "0!", "signature": "s", "type": "thinking"}
    thoughts = Thoughts()
    thoughts.add_blocks([{"type": "redacted_thinking", "data": "d"}])
    thoughts.add_blocks("no list")
    assert thoughts.fields() == {"thinking_blocks": [{"type": "redacted_thinking", "data": "d"}]}
