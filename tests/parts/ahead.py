"""The command line with a clock that is ahead: `python -m tests.parts.ahead SECONDS ARGUMENT...`, so that leases of the dead are over."""

import sys
import time

seconds = float(sys.argv.pop(1))
clock = time.time
time.time = lambda: clock() + seconds  # before anything that keeps it is imported

from core.cli.entry import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
