"""What a model thought before its calls, to be given back as it came: a text, and blocks that may be signed. Pure.

Sources: the fields of vLLM (`reasoning`, `reasoning_content`), and LiteLLM's `thinking_blocks`, which Bedrock's models have here too.
"""

from typing import Any, Final

from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object

MOST_BLOCKS: Final = 1000
"""In one answer; their numbers are an upstream's word."""


class Thoughts:
    """Of one answer, in pieces as they come."""

    __slots__ = ("_blocks", "_name", "_texts")

    def __init__(self) -> None:
        self._name = ""
        self._texts: list[str] = []
        self._blocks: dict[int, tuple[JsonObject, list[str]]] = {}

    def add_text(self, name: str, text: str) -> None:
        """`name` is the field that has it."""
        self._name = name
        self._texts.append(text)

    def add_blocks(self, pieces: object) -> None:
        """Pieces of blocks, by their `index`: texts go on, what else there is of a block is said once."""
        for piece in pieces if is_list(pieces) else ():
            if is_object(piece):
                self._add_block(piece)

    def _add_block(self, piece: JsonObject) -> None:
        index: Any = piece.get("index")
        index = index if type(index) is int else max(self._blocks, default=0)
        if index not in self._blocks and len(self._blocks) >= MOST_BLOCKS:
            return
        block, texts = self._blocks.setdefault(index, ({}, []))
        block.update({name: value for name, value in piece.items() if name != "index"})
        if isinstance(text := piece.get("thinking"), str):
            texts.append(text)

    def fields(self) -> JsonObject:
        """Of the message of the assistant."""
        fields: JsonObject = {self._name: "".join(self._texts)} if self._texts else {}
        if self._blocks:
            blocks = [self._blocks[index] for index in sorted(self._blocks)]
            fields["thinking_blocks"] = [
                {**block, "thinking": "".join(texts)} if "thinking" in block else block for block, texts in blocks
            ]
        return fields
