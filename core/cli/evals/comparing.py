"""Whether one evaluation is better than another, row by row: of two candidates that were asked the same, only rows that they differ in count.

How likely so one-sided a result is where neither is better is the sign test's, two-sided: exact, or by the normal distribution for many rows.
Source: https://en.wikipedia.org/wiki/Sign_test
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb, erfc, sqrt
from typing import TYPE_CHECKING, Any, Final

from core.cli.terminal import Columns

if TYPE_CHECKING:
    from core.apis.answers.evals import EvalResult

MOST_EXACT: Final = 1000  # rows that differ
TABLE: Final[Columns] = (
    ("SCORED BY", 28),
    ("1ST BETTER", 10),
    ("2ND BETTER", 10),
    ("SAME", 6),
    ("BY CHANCE", 9),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """By one scoring function: rows in which either is better, both are the same, or one has no score that is a number."""

    function: str
    first: int
    second: int
    same: int
    unscored: int

    @property
    def chance(self) -> float:
        """From 0 to 1: below 0.05, say, the one with more rows is better, and not only luckier."""
        return chance_of(self.first, self.second)

    def as_row(self) -> list[str]:
        """The cells of TABLE."""
        return [self.function, str(self.first), str(self.second), str(self.same), f"{self.chance:.1%}"]

    def as_json(self) -> dict[str, Any]:
        counts = {
            "first_better": self.first,
            "second_better": self.second,
            "same": self.same,
            "unscored": self.unscored,
        }
        return {"scoring_function": self.function, **counts, "chance": self.chance}


def compare_results(first: "EvalResult", second: "EvalResult") -> Iterator[Comparison]:
    """By each function that scored both, over the rows that both have."""
    for function, scores in first["scores"].items():
        if function not in second["scores"]:
            continue
        better, worse, same, unscored = 0, 0, 0, 0
        for row, another in zip(scores["score_rows"], second["scores"][function]["score_rows"], strict=False):
            one, other = row.get("score"), another.get("score")
            if not isinstance(one, int | float) or not isinstance(other, int | float):
                unscored += 1
            else:
                better, worse, same = better + (one > other), worse + (one < other), same + (one == other)
        yield Comparison(function, better, worse, same, unscored)


def chance_of(first: int, second: int) -> float:
    """How likely counts so far apart are, or further, where each row is as likely to be the one's as the other's."""
    rows, fewer = first + second, min(first, second)
    if rows <= MOST_EXACT:
        return min(1.0, 2 * sum(comb(rows, count) for count in range(fewer + 1)) / (1 << rows))
    return min(1.0, erfc((abs(first - second) - 1) / sqrt(2 * rows)))
