"""A model as programs with agents meet it, on OpenAI's wire and on Converse: it calls tools, fills in schemas, sums up, and fails on demand.

What it does follows from what it was sent, however the wire says it. A user's text orders it:

- `Weather in A and B, then C` with tools: calls for A and B, after their results one for C, then all the results as text;
- without tools, or where none may be called, a conversation with results is summed up;
- a tool, a schema or a schema in the prompt is filled in: `name` with "NAME", whole numbers with 7;
- `busy N`: the first time, one call too many; `too long`; `break`: an error in the middle of a stream; `cut`: its connection
  ends there; `endless N`: a stream that lasts until the caller goes, `hang N`: an answer that does not come, and
  `was N ended?`, which tells whether it was noticed that the caller went.
"""

import asyncio
from dataclasses import dataclass, field
import json
import re
from typing import Any, Final

from aiohttp import web

from tests.parts.scripted import Said
from tests.parts.upstream import Reply

RESULT: Final = re.compile(r"[A-Z][a-z]+: -?\d+ degrees")
PLAIN: Final = {"integer": 7, "number": 7, "boolean": True}
ORDER: Final = re.compile(r"(too long|break|cut|busy|endless|hang)(?: (\S+))?")
QUESTION: Final = re.compile(r"was (\S+) ended\?")


@dataclass(frozen=True)
class Conversation:
    """`tools` are schemas by name, `choice` is auto, any, none or a tool's name, `rounds` the results since the user's last text, and
    `called` whether there are any."""

    text: str
    prompt: str
    rounds: int
    called: bool
    results: tuple[str, ...]
    tools: dict[str, Any]
    choice: str
    single: bool = False
    media: tuple[bytes, ...] = ()
    schema: dict[str, Any] | None = None


@dataclass
class Memory:
    """What a model remembers of its callers."""

    busy: set[str] = field(default_factory=set[str])
    ended: set[str] = field(default_factory=set[str])

    def order_in(self, text: str) -> tuple[str, str]:
        """How to misbehave, and the N that it is about; empty where it is not asked for."""
        match ORDER.fullmatch(text):
            case None:
                return "", ""
            case order if order[1] == "busy" and order[2] in self.busy:
                return "", ""
            case order:
                if order[1] == "busy":
                    self.busy.add(order[2])
                return order[1], order[2] or ""

    def report_on(self, text: str) -> Said | None:
        question = QUESTION.fullmatch(text)
        return question and Said("yes" if question[1] in self.ended else "no")


def answer(heard: Conversation) -> Said:
    """The script."""
    rounds = heard.text.removeprefix("Weather in ").split(", then ") if heard.text.startswith("Weather in ") else []
    tools = {} if heard.choice == "none" else heard.tools
    function = next(iter(tools), None)
    if function and heard.rounds < len(rounds):
        cities = rounds[heard.rounds].split(" and ")
        return _calls(heard, function, tools[function], cities[:1] if heard.single else cities)
    begins = not rounds and not heard.called
    if heard.choice in tools or (tools and (heard.choice == "any" or begins or len(tools) > 1)):
        name = heard.choice if heard.choice in tools else next(reversed(tools))
        return _calls(heard, name, tools[name], [""])
    if heard.schema is not None:
        return Said(json.dumps(instance(heard.schema, heard.schema)))
    return Said(_text(heard))


def _text(heard: Conversation) -> str:
    if (schema := _schema_in(heard.prompt)) is not None:
        return json.dumps(instance(schema, schema))
    if heard.media:
        return " and ".join(f"{len(content)} bytes" for content in heard.media)
    return f"Summary: {'; '.join(heard.results)}" if heard.results else heard.prompt


def instance(schema: dict[str, Any], root: dict[str, Any], name: str = "") -> Any:
    """A value that a JSON schema allows."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return instance(schema["anyOf"][0], root, name)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {key: instance(value, root, key) for key, value in schema.get("properties", {}).items()}
        case "array":
            return [instance(schema["items"], root, name)] * 2
        case kind:
            return PLAIN.get(str(kind), name.upper())


def _calls(heard: Conversation, name: str, schema: dict[str, Any], cities: list[str]) -> Said:
    calls = [
        (f"call_{heard.rounds}_{at}", name, instance(schema, schema) | ({"city": city} if city else {}))
        for at, city in enumerate(cities)
    ]
    return Said("", tuple(calls), "tool_calls")


def _schema_in(prompt: str) -> dict[str, Any] | None:
    """The first JSON schema of an object that a prompt shows."""
    for at in [match.start() for match in re.finditer(r"\{", prompt)]:
        try:
            value, _ = json.JSONDecoder().raw_decode(prompt, at)
        except ValueError:
            continue
        if isinstance(value, dict) and "properties" in value:
            return value
    return None


def results_in(messages: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(RESULT.findall(json.dumps(messages))))


def vector(value: str | list[int]) -> list[float]:
    """Of the input's length and sum, so that its order and its kind show."""
    numbers = list(value.encode()) if isinstance(value, str) else value
    return [float(len(numbers)), float(sum(numbers))]


def endless(memory: Memory, name: str, pieces: tuple[bytes, bytes], kind: str) -> Reply:
    """The first piece, and then the second again and again, until nobody listens; `kind` is the content type."""

    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": kind})
        await response.prepare(request)
        try:
            await response.write(pieces[0])
            while True:
                await response.write(pieces[1])
                await asyncio.sleep(0.02)
        except (asyncio.CancelledError, ConnectionError):
            memory.ended.add(name)
            raise

    return reply


def hanging(memory: Memory, name: str) -> Reply:
    async def reply(_: web.Request) -> web.StreamResponse:
        try:
            await asyncio.sleep(60)
        finally:
            memory.ended.add(name)
        raise AssertionError

    return reply
