"""`llambda completion`: what a shell needs to complete commands, options, distributions and files."""

from typing import Final

import click
from click.shell_completion import get_completion_class

SHELLS: Final = ("bash", "zsh", "fish")
EXAMPLES: Final = """\
\b
Examples:
  llambda completion bash > ~/.local/share/bash-completion/completions/llambda
  eval "$(llambda completion zsh)"         in ~/.zshrc, after compinit
  llambda completion fish > ~/.config/fish/completions/llambda.fish
"""


@click.command(epilog=EXAMPLES)
@click.argument("shell", type=click.Choice(SHELLS), help="The shell that the script is for.")
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a shell's completion script."""
    completion = get_completion_class(shell)
    if completion is None:
        raise click.ClickException(f"this version of click has no completion for {shell}")
    print(completion(context.find_root().command, {}, "llambda", "_LLAMBDA_COMPLETE").source(), end="")
