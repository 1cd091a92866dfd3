"""Calls that a person was asked about, and what they said. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from core.errors import InvalidRequest, shorten
from core.platform.json_values import is_list, is_object
from core.services.responses.contract import Item

PATH: Final = "input"


def requests_in(context: Sequence[Item]) -> dict[str, Item]:
    """The requests for approval, by their ids."""
    return {item["id"]: item for item in context if _is_request(item)}


def approved_calls(new_items: object, context: Sequence[Item]) -> list[Item]:
    """The requests of `context` that the `new_items` of a request's input approve of, each once, and that were not run before.

    `context` ends with the new items. An answer that is older was acted on when it was new.
    Raises InvalidRequest for an answer to what was not asked, and for one that is not what was said before.
    """
    requests, decisions = requests_in(context), dict[str, bool]()
    answers = [item for item in context if _is_answer(item)]
    news = sum(_is_answer(item) for item in new_items) if is_list(new_items) else 0
    ran = {str(item.get("approval_request_id")) for item in context if item.get("type") == "mcp_call"}
    for answer in answers[: len(answers) - news]:
        decisions.setdefault(str(answer.get("approval_request_id")), answer.get("approve") is True)
    approved: dict[str, Item] = {}
    for answer in answers[len(answers) - news :]:
        request_id, approves = _read(answer, requests)
        if decisions.setdefault(request_id, approves) is not approves:
            raise InvalidRequest(
                f"`{shorten(request_id, 64)}` was answered before, and otherwise. Ask the model anew.", param=PATH
            )
        if approves and request_id not in ran:
            approved[request_id] = requests[request_id]
    return list(approved.values())


def _read(answer: Item, requests: Mapping[str, Item]) -> tuple[str, bool]:
    request_id, approves = answer.get("approval_request_id"), answer.get("approve")
    if not isinstance(approves, bool):
        raise InvalidRequest("An `mcp_approval_response` needs `approve`, true or false.", param=PATH)
    if not isinstance(request_id, str) or request_id not in requests:
        raise InvalidRequest(
            f"No approval was asked for as `{shorten(str(request_id), 64)}` here. Answer with `previous_response_id`, or the conversation, "
            "in which the `mcp_approval_request` is, or send that item before the answer.",
            param=PATH,
        )
    return request_id, approves


def _is_request(item: Item) -> bool:
    fields = ("id", "server_label", "name", "arguments")
    return item.get("type") == "mcp_approval_request" and all(isinstance(item.get(field), str) for field in fields)


def _is_answer(item: object) -> bool:
    return is_object(item) and item.get("type") == "mcp_approval_response"
