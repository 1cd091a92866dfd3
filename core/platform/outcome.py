"""What came of running somebody else's code: an answer, or whatever it raised."""

from types import TracebackType
from typing import Self


class Outcome:
    """`with` it, all that is raised, be it SystemExit, is its `error`; but Ctrl-C, which must end the process."""

    def __init__(self) -> None:
        self.answer: object = None
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        return not getattr(error, "by_signal", False)
