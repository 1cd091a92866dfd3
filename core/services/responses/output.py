"""What an item of an output is called: its place, and its id; and what a call of a tool is known by."""

import re
from secrets import token_hex
from typing import Final

from core.services.responses.contract import Item, Slot

PREFIXES: Final = {
    "message": "msg_", "function_call": "fc_", "custom_tool_call": "ctc_", "reasoning": "rs_",
    "mcp_list_tools": "mcpl_", "mcp_call": "mcp_", "mcp_approval_request": "mcpr_", "file_search_call": "fs_",
    "web_search_call": "ws_", "compaction": "cmp_",
}  # fmt: skip
"""Of ids, by the type of item; as OpenAI has them."""

KEY: Final = re.compile(r"[!-~]{1,64}")
"""An id of a call as a header can have it; what a model's server calls its calls is its own word."""


class Output:
    """Gives the items of an output their places and ids: the one place that does."""

    __slots__ = ("count", "tail")

    def __init__(self, count: int = 0, tail: str = "") -> None:
        """`count` items are there already; `tail` ends every id, where the place of the run in its conversation is to be found by it."""
        self.count = count
        self.tail = tail

    def add(self, item: Item) -> Slot:
        """The next place, and an id of 48 digits in hex; the item gets it."""
        slot = Slot(self.count, make_id(PREFIXES.get(item["type"], "item_"), self.tail))
        item["id"] = slot.id
        self.count += 1
        return slot


def make_id(prefix: str, tail: str = "") -> str:
    """`prefix` and 48 random digits in hex, of which `tail` replaces the last."""
    return prefix + token_hex(24)[: 48 - len(tail)] + tail


def make_key(run_id: str, call_id: str) -> str:
    """The idempotency key of a call: the same whenever it is tried again; "" of a run without an id. At most 128 visible ASCII characters."""
    if not run_id:
        return ""
    if not KEY.fullmatch(call_id):
        from hashlib import sha256

        call_id = sha256(call_id.encode(errors="surrogatepass")).hexdigest()
    return f"{run_id}:{call_id}"
