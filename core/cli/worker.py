"""`llambda worker`: the jobs of a run config, without serving it."""

import sys
from typing import Final

import click

from core.cli.logs import apply_logging, start_logging
from core.cli.options import Pairs, config_argument, env_option, load_for
from core.platform import environment

EXAMPLES: Final = """\
\b
Examples:
  llambda worker run.yaml
  llambda worker run.yaml --at-once 4
"""


@click.command(epilog=EXAMPLES)
@config_argument
@click.option(
    "--at-once",
    metavar="N",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Messages worked on at once.",
)
@env_option
def command(config: str, env: Pairs, at_once: int) -> None:
    """Work on the jobs of a run config, until Ctrl-C.

    `llambda serve` does so itself. Any number of workers may share a run config's stores, on one machine or several.
    """
    start_logging()
    path, checked, _ = load_for("laptop", config, env)
    apply_logging(checked.logging)
    environment.set_variables({"LLAMBDA_CONFIG": str(path.resolve())})
    from core.runtime.fast_loop import fast_loop
    from core.runtime.job_worker import work_alone
    from core.runtime.loop import process_loop

    process_loop(fast_loop())  # before anything is resolved
    work_alone(at_once=at_once, ready=lambda: print("llambda is waiting for jobs", file=sys.stderr, flush=True))
