"""The command line, with runs that write no log: `python -m tests.benchmarks.unlogged serve ...`, to measure what a log costs."""

import sys
from typing import TYPE_CHECKING

from core.cli.entry import main
from core.services.responses.recording.writing import Recorder

if TYPE_CHECKING:
    from core.services.responses.contract import Event


def note(self: Recorder, event: "Event") -> None:
    """Nothing."""


setattr(Recorder, "note", note)  # noqa: B010 - a method, which types would not let go

if __name__ == "__main__":
    sys.exit(main())
