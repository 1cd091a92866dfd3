"""What an instruction of IFEval is given beside its id: the row's `kwargs` at its place."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.errors import InvalidRequest
from core.providers.scoring_basic.columns import as_list

LESS: Final = "less than"
AT_LEAST: Final = "at least"


class Arguments:
    """Null is what is not there: data sets have the arguments of all instructions in every row."""

    def __init__(self, instruction: str, values: Mapping[str, Any]) -> None:
        self._instruction = instruction
        self._values = values

    def text(self, name: str) -> str:
        value = self._values.get(name)
        if not isinstance(value, str) or not value.strip():
            raise self._unfit(name, "a text")
        return value.strip()

    def texts(self, name: str) -> Sequence[str]:
        texts = as_list(self._values.get(name))
        if not texts or not all(isinstance(entry, str) and entry for entry in texts):
            raise self._unfit(name, "a list of texts")
        return texts

    def number(self, name: str) -> int:
        """CSV and Parquet files have whole numbers as floats, where others are null."""
        value = self._values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 0:
            raise self._unfit(name, "a whole number")
        return int(value)

    def holds(self, count: int, name: str, relation: str = "relation") -> bool:
        """Whether `count` is to the number of this name as the relation of that name says."""
        number = self.number(name)
        match self._values.get(relation):
            case "less than":
                return count < number
            case "at least":
                return count >= number
            case _:
                raise self._unfit(relation, f"`{LESS}` or `{AT_LEAST}`")

    def _unfit(self, name: str, kind: str) -> InvalidRequest:
        return InvalidRequest(f"`kwargs` of the instruction {self._instruction!r}: {name!r} is not {kind}.")
