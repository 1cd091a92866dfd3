"""`llambda run`: `llambda serve` as the reference's scripts call it."""

from typing import Final

import click

from core.cli import serve
from core.cli.options import Pairs, env_option, optional_config_argument
from core.cli.unused import unused_options

UNUSED: Final = {"--image-name": "NAME", "--image-type": "TYPE", "--enable-ui": "", "--disable-ipv6": ""}
EXAMPLES: Final = """\
\b
Examples:
  llambda run starter
  llambda run run.yaml --port 9000 --env VLLM_URL=http://gpu:8000
  LLAMA_STACK_PORT=9000 llambda stack run starter
"""


@click.command(epilog=EXAMPLES)
@optional_config_argument
@click.option(
    "--port",
    metavar="N",
    type=serve.port_number,
    envvar="LLAMA_STACK_PORT",
    show_envvar=True,
    help="Listen here instead of on the run config's port (0: a free one).",
)
@env_option
@unused_options(UNUSED)
def command(config: str, port: int | None, env: Pairs) -> None:
    """Serve a run config on this machine, until Ctrl-C.

    This is `llambda serve`. Without CONFIG it serves the file that LLAMBDA_CONFIG names, or else `starter`.
    --image-name, --image-type, --enable-ui and --disable-ipv6 are accepted, and have no effect.
    """
    serve.run(config, env, port=port)
