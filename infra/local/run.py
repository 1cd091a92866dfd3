"""What `make run` begins with: infra/local/running.py, whose imports Ctrl-C ends without a traceback."""

from collections.abc import Callable
import sys

from core.cli.entry import run_quietly


def main() -> int:
    def load() -> Callable[[], int]:
        from infra.local.running import main

        return main

    return run_quietly(load)


if __name__ == "__main__":
    sys.exit(main())
