"""`python -m tests.mutants`: breaks a line at a time of the modules in the table, and prints what no test catches.

A fixed seed chooses which lines, so that two runs break the same. A survivor is a missing test, or a change that changes
nothing; read it before you believe either.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
import os
from pathlib import Path
import random
import sys
from typing import Final

from tests.mutants.mutations import Mutation, mutations
from tests.mutants.run import Fate, fate
from tests.mutants.table import TABLE, Row

SEED: Final = 20261128
MOST: Final = 30  # mutations of a module
SECONDS: Final = 60.0  # for one


def file_of(module: str) -> Path:
    return Path(f"{module.replace('.', '/')}.py")


def sample(row: Row, seed: int, most: int) -> list[tuple[int, Mutation]]:
    """At most `most` of the module's mutations, by their index, in the order of the source."""
    every = list(enumerate(mutations(file_of(row.module).read_text("utf-8"))))
    chosen = random.Random(f"{seed} {row.module}").sample(every, min(most, len(every)))  # noqa: S311 - to be repeated
    return sorted(chosen)


def test(row: Row, options: argparse.Namespace, threads: ThreadPoolExecutor) -> Iterator[str]:
    """A line for each survivor; raises SystemExit where the tests fail without a mutation."""
    untouched = fate(row.module, None, row.arguments, SECONDS * 5)
    if untouched is not Fate.SURVIVED:
        sys.exit(f"{row.module} as it is: {untouched.value}; its tests are {' '.join(row.tests)}")
    chosen = sample(row, options.seed, options.most)
    fates = [*threads.map(lambda each: fate(row.module, each[0], row.arguments, options.seconds), chosen)]
    counts = Counter(each.value for each in fates)
    print(f"{row.module}: {', '.join(f'{count} {name}' for name, count in sorted(counts.items()))}", flush=True)
    for mutation in (mutation for (_, mutation), end in zip(chosen, fates, strict=True) if end is Fate.SURVIVED):
        yield f"survived: {file_of(row.module)}:{mutation.line} {mutation.original} -> {mutation.mutated}"


def main() -> int:
    """Exit code 0 whatever survives: it is for a person to judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Which broken lines no test catches.")
    parser.add_argument("modules", nargs="*", help="of the table; all without any")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--most", type=int, default=MOST, help=f"mutations of a module (default: {MOST})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"for one of them (default: {SECONDS:.0f})")
    options = parser.parse_args()
    rows = [row for row in TABLE if not options.modules or row.module in options.modules]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        lines = [line for row in rows for line in test(row, options, threads)]
    print(*lines, f"{len(lines)} survived", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
