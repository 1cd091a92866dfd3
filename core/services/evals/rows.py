"""What a candidate is asked for a row of a dataset, and what scoring functions see of it. Pure.

Source: the eval providers of Llama Stack 0.2.12, whose columns are `chat_completion_input` and `completion_input`; the columns of the
purposes of datasets, `question`, `messages` and `answer`, mean the same here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
import json
from typing import Any, Final, cast

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object

GENERATED: Final = "generated_answer"
CHAT: Final = "chat_completion_input"
COMPLETION: Final = "completion_input"
MESSAGES: Final = "messages"
TEXTS: Final = ("question", "input_query")
INPUTS: Final = (CHAT, COMPLETION, MESSAGES, *TEXTS)
"""The first that a row has is asked."""
NO_INPUT: Final = f"The row has no input for a candidate: one of the columns {', '.join(INPUTS)}."


@dataclass(frozen=True, slots=True)
class ChatInput:
    """Messages of a conversation, in the words of 0.2 where they are `native`, else in OpenAI's."""

    messages: list[JsonObject]
    column: str
    native: bool = False


@dataclass(frozen=True, slots=True)
class CompletionInput:
    """`content` is a prompt, as 0.2 has contents."""

    content: Any


type RowInput = ChatInput | CompletionInput


def input_of(row: Mapping[str, Any]) -> RowInput:
    """Raises InvalidRequest for a row that has none."""
    column = next((name for name in INPUTS if row.get(name) is not None), None)
    match column:
        case None:
            raise InvalidRequest(NO_INPUT)
        case "chat_completion_input":
            return ChatInput(_messages(row[column], column), column, native=True)
        case "completion_input":
            return CompletionInput(_prompt(row[column]))
        case "messages":
            return ChatInput(_messages(row[column], column), column)
        case _:
            return ChatInput([_user(_text_of_cell(row[column]))], column)


def scored_row(row: JsonObject, generation: Mapping[str, Any]) -> JsonObject:
    """The row as scoring functions see it: its own columns, those that follow from them, and what was generated."""
    derived = {"input_query": _query_of(row), "expected_answer": row.get("answer")}
    return {**{name: value for name, value in derived.items() if value is not None}, **row, **generation}


def _query_of(row: Mapping[str, Any]) -> str | None:
    """The last that a user says."""
    try:
        row_input = input_of(row)
    except InvalidRequest:
        return None
    if isinstance(row_input, CompletionInput):
        return text_of(row_input.content)
    of_users = [message for message in row_input.messages if message.get("role") == "user"]
    return text_of(of_users[-1].get("content")) if of_users else None


def text_of(content: object) -> str:
    """The text in a content of either API; what is no text is left out."""
    match content:
        case str(text):
            return text
        case {"text": str(text)}:
            return text
        case list():
            return "".join(text_of(item) for item in cast("list[object]", content))
        case _:
            return ""


def _messages(cell: object, column: str) -> list[JsonObject]:
    """Of a list, one message, their JSON, or what a user says."""
    value = _from_json(cell) if isinstance(cell, str) else cell
    if is_list(value) and value and all(map(is_object, value)):
        return value
    if is_object(value) and "role" in value:
        return [value]
    if isinstance(value, str | int | float):
        return [_user(_text_of_cell(cell))]
    raise InvalidRequest(f"{column}: must be a list of messages, or its JSON.", param=column)


def _prompt(cell: object) -> object:
    """A content, or its JSON as 0.2 writes it."""
    value = _from_json(cell) if isinstance(cell, str) else cell
    if is_object(value) and "content" in value:
        return value["content"]
    is_content = isinstance(value, str) or is_object(value) or is_list(value)
    return value if is_content else _text_of_cell(cell)


def _from_json(text: str) -> Any:  # noqa: ANN401 - whatever it is
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _text_of_cell(cell: object) -> str:
    """As CSV had it, where a reader made a number of it."""
    return cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)


def _user(text: str) -> JsonObject:
    return {"role": "user", "content": text}
