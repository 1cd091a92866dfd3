"""Where the `llambda` script begins: before anything else is imported, Ctrl-C is made to end it without a traceback."""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    import signal as _signal
else:
    import _signal  # which `signal` is made of, and is there already

INTERRUPTED = 130


def leave(*_: object) -> None:
    """At once: nothing has begun that had to be undone, or it has been asked for twice."""
    os._exit(INTERRUPTED)


class Interrupt(KeyboardInterrupt):
    """Of Ctrl-C; what a provider's code raises by itself is that provider's failure (core/platform/outcome.py)."""

    by_signal = True


def interrupt(*_: object) -> None:
    """Once, what is under way is undone; a second Ctrl-C does not wait for that."""
    _signal.signal(_signal.SIGINT, leave)
    raise Interrupt


def is_ignored() -> bool:
    """As in `nohup llambda ... &`, which stays so."""
    return _signal.getsignal(_signal.SIGINT) == _signal.SIG_IGN


def run_quietly(load: "Callable[[], Callable[[], int]]") -> int:
    """The exit code of what `load` imports; 130 after an interrupt, at whichever moment it came."""
    if is_ignored():
        return load()()
    _signal.signal(_signal.SIGINT, leave)
    work = load()
    sys.unraisablehook = _unraisable
    code = INTERRUPTED
    try:
        _signal.signal(_signal.SIGINT, interrupt)
        code = work()
    finally:
        if code == INTERRUPTED and _signal.getsignal(_signal.SIGINT) is leave:
            os._exit(INTERRUPTED)  # whatever became of the interrupt, as an import's ImportError; threads may be left
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)  # which alone lasts until Python has ended
    return code


def _unraisable(failure: "sys.UnraisableHookArgs") -> None:
    """Of what cannot raise, as `__del__`, an interrupt is not told of either."""
    if issubclass(failure.exc_type, KeyboardInterrupt):
        leave()
    sys.__unraisablehook__(failure)


def main() -> int:
    def load() -> "Callable[[], int]":
        from core.cli.main import main

        return main

    return run_quietly(load)


if __name__ == "__main__":
    sys.exit(main())
