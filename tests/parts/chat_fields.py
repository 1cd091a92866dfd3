"""The rows of docs/chat-fields.md, from the data that they are about."""

from pathlib import Path
from typing import Final

from core.providers.bedrock.converse.families import Family, Sampling, Thinks, family_of

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "chat-fields.md"
SAMPLING: Final = {
    Sampling.BOTH: "both",
    Sampling.ONE: "one of them, `temperature` first",
    Sampling.NONE: "left out",
}
THINKS: Final = {
    Thinks.NO: "refused",
    Thinks.EFFORT: "`outputConfig.effort`",
    Thinks.BUDGET: "`thinking` with a budget",
    Thinks.ADAPTIVE: "adaptive `thinking` and `outputConfig.effort`",
    Thinks.NOVA: "`reasoningConfig`",
    Thinks.OPENAI: "`reasoning_effort`",
    Thinks.OPENAI_NESTED: "`reasoning.effort`",
}
MOST_STOPS: Final = 2500


def family_row(model: str) -> str:
    """Of the table of families, for the family of this model."""
    family = family_of(model)
    stops = "all" if family.most_stops == MOST_STOPS else f"the first {family.most_stops}"
    stops = stops if family.blank_stops else f"{stops} but white space"
    cells = (
        f"`{model}`",
        SAMPLING[family.sampling],
        stops if family.stop_sequences else "none",
        "structured output" if family.json_schema else "instruction",
        THINKS[family.thinks],
        _top_k(family),
        "translated" if family.tiers else "dropped",
    )
    return f"| {' | '.join(cells)} |"


def _top_k(family: Family) -> str:
    if family.sampling is Sampling.NONE:
        return "left out"
    return f"`{family.top_k}`" if family.top_k else "refused"


def rows(title: str) -> list[list[str]]:
    """The cells of the table below a title of the page, without its head."""
    section = PAGE.read_text("utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def outcomes() -> dict[str, str]:
    """What the page says of each of OpenAI's fields."""
    return {cells[0].strip("`"): cells[1] for cells in rows("OpenAI's fields")}
