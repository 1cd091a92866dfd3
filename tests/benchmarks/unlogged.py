"""The command line, where a response with the metadata `log: none` writes no log: `python -m tests.benchmarks.unlogged serve ...`, to measure what a log costs."""

import sys
from typing import Any, Final

from core.cli.entry import main
from core.services.responses.recording.codec import Beginning
from core.services.responses.recording.writing import Recorder

NONE: Final = {"log": "none"}

begin = Recorder.__init__


def begin_or_not(self: Recorder, run_log: Any, beginning: Beginning | None, *more: Any) -> None:
    begin(self, run_log, beginning, *more)
    if beginning is not None and beginning.response.get("metadata") == NONE:
        setattr(self, "note", lambda _: None)  # noqa: B010 - a method, which types would not let go


setattr(Recorder, "__init__", begin_or_not)  # noqa: B010 - as above

if __name__ == "__main__":
    sys.exit(main())
