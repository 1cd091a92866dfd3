"""How `llambda agents` and `sessions` say what a stack answers: what models and tools wrote is shown, and nothing in it is obeyed."""

from collections.abc import Iterator
import json
from typing import TYPE_CHECKING, Final

from core.cli.responses.output import clean_text
from core.cli.terminal import Columns, clean
from core.platform.json_values import is_list, is_object, to_object

if TYPE_CHECKING:
    from core.apis.answers.agents import Agent, Session, Turn
    from core.apis.answers.native import NativeToolCall
    from core.frame.types import JsonObject

AGENTS: Final[Columns] = (("AGENT", 54), ("MODEL", 24), ("NAME", 20))
SESSIONS: Final[Columns] = (("SESSION", 53), ("BEGUN", 11), ("NAME", 20))


def agent_row(agent: "Agent") -> list[str]:
    """The cells of AGENTS."""
    config = agent["agent_config"]
    return [agent["agent_id"], str(config.get("model")), str(config.get("name") or "")]


def session_row(session: "Session") -> list[str]:
    """The cells of SESSIONS."""
    return [session["session_id"], time_of(session["started_at"])[5:], session["session_name"]]


def time_of(text: str) -> str:
    """To the minute, of an ISO time in UTC."""
    return text[:16].replace("T", " ")


def agent_lines(agent: "Agent") -> Iterator[str]:
    """A line for each fact, then the instructions."""
    config = agent["agent_config"]
    facts = {
        "agent": agent["agent_id"],
        "name": config.get("name"),
        "model": config.get("model"),
        "created": time_of(agent["created_at"]),
        "tools": ", ".join(map(_group_text, config.get("toolgroups") or ())),
        "functions": ", ".join(str(to_object(tool).get("name")) for tool in config.get("client_tools") or ()),
        "shields in": ", ".join(config.get("input_shields") or ()),
        "shields out": ", ".join(config.get("output_shields") or ()),
        "rounds": config.get("max_infer_iters"),
    }
    yield from (clean(f"{name + ':':13}{fact}") for name, fact in facts.items() if fact)
    if config.get("instructions"):
        yield ""
        yield clean_text(str(config["instructions"]))


def session_lines(session: "Session") -> Iterator[str]:
    """A line for each fact, then its turns."""
    facts = {
        "session": session["session_id"],
        "name": session["session_name"],
        "begun": time_of(session["started_at"]),
    }
    yield from (clean(f"{name + ':':9}{fact}") for name, fact in facts.items() if fact)
    for turn in session["turns"]:
        yield from turn_lines(turn)


def turn_lines(turn: "Turn") -> Iterator[str]:
    """What was asked, what its tools did, and what was answered, below a blank line each."""
    for message in turn["input_messages"]:
        yield from ("", clean_text(f"{message.get('role')}: {content_text(message.get('content'))}"))
    for step in turn["steps"]:
        for text in step_texts(to_object(step)):
            yield from ("", clean_text(text))
    yield from ("", clean_text(f"assistant: {content_text(turn['output_message']['content'])}"))
    for call in turn["output_message"].get("tool_calls") or ():
        yield from ("", clean_text(f"awaits: {call_text(call)} {call['call_id']}"))


def step_texts(step: "JsonObject") -> Iterator[str]:
    """Of a step that is done: its calls with what came of them, or what a shield found; nothing of others."""
    answers = {str(answer.get("call_id")): answer for answer in map(to_object, step.get("tool_responses") or ())}
    for call in step.get("tool_calls") or ():
        answer = answers.get(str(call.get("call_id")), {})
        yield f"{call_text(call)} = {content_text(answer.get('content'))}"
    violation = to_object(step.get("violation"))
    if violation:
        yield f"shield: {violation.get('user_message') or violation.get('violation_level')}"


def call_text(call: "NativeToolCall | JsonObject") -> str:
    arguments = call.get("arguments_json")
    return f"{call.get('tool_name')}({arguments or json.dumps(call.get('arguments'), ensure_ascii=False)})"


def content_text(content: object) -> str:
    """Of a text, or of parts; those that are no texts are named."""
    if is_list(content):
        return " ".join(map(content_text, content))
    if not is_object(content):
        return str(content or "")
    text = content.get("text")
    return text if isinstance(text, str) else f"[{content.get('type') or 'content'}]"


def _group_text(group: object) -> str:
    if isinstance(group, str):
        return group
    args = to_object(group).get("args")
    return f"{to_object(group).get('name')}{f' {json.dumps(args, ensure_ascii=False)}' if args else ''}"
