"""What is wrong with a run config: every mistake with its path, all of them reported at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import override


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `path` is as the user wrote it (`providers.inference[0].config.url`), "" for the whole document."""

    path: str
    message: str

    @override
    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigInvalid(Exception):
    """A configuration that cannot be used; `source` is the file, option or name that it came from."""

    def __init__(self, source: str, problems: Sequence[Problem], hint: str = "") -> None:
        """Keep every problem; str() is the report that a command prints, with the `hint` at its end."""
        super().__init__(source, tuple(problems))
        self.source = source
        self.problems = tuple(problems)
        self.hint = hint

    @override
    def __str__(self) -> str:
        count = len(self.problems)
        lines = [f"{self.source}: {count} problem{'' if count == 1 else 's'}"]
        report = "\n  ".join([*lines, *(str(problem) for problem in self.problems)])
        return f"{report}\n{self.hint}" if self.hint else report
