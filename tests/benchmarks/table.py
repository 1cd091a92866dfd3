"""What a benchmark measured, as rows of one table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`ratio` is None for a figure that stands alone; `goal` is what the project wants of it, "" where it wants nothing."""

    what: str
    measured: str
    floor: str
    ratio: float | None
    goal: str

    def met(self) -> bool | None:
        if self.ratio is None or not self.goal:
            return None
        bound = float(self.goal.split()[1].rstrip("x"))
        return self.ratio <= bound if self.goal.startswith("<=") else self.ratio >= bound


def show(rows: list[Row]) -> None:
    cells = [("what", "measured", "floor", "ratio", "goal", "")]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
        verdict = {None: "", True: "met", False: "MISSED"}[row.met()]
        cells.append((row.what, row.measured, row.floor, ratio, row.goal, verdict))
    widths = [max(len(line[i]) for line in cells) for i in range(6)]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip(), flush=True)
