"""How tools and their results are shown to clients of 0.2, whose parameters are flat."""

from core.apis.tools import Block, Tool
from core.services.tools.shown import blocks_of, parameters_of


def test_what_a_flat_list_cannot_say_is_in_the_schema_beside_it() -> None:
    plain, choice, words = {"type": "string"}, {"type": "string", "enum": ["a"]}, {"type": "array"}
    schema = {"type": "object", "properties": {"plain": plain, "choice": choice, "words": words}}
    shown = {row["name"]: row.get("schema") for row in parameters_of(Tool("t", "", schema))}
    assert shown == {"plain": None, "choice": choice, "words": words}


def test_a_text_is_one_block_and_blocks_are_as_they_are() -> None:
    blocks = [Block(type="text", text="a"), Block(type="image", data="b", mimeType="image/png")]
    assert blocks_of("a") == blocks[:1]
    assert blocks_of(blocks) is blocks
