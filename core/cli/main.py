"""The `llambda` command: a table of commands, each imported when it is asked for, and what exit codes mean."""

from collections.abc import Sequence
from importlib import import_module
from io import StringIO
import os
import sys
from typing import Final, override

import click

from core.cli.entry import INTERRUPTED
from core.config.problems import ConfigInvalid
from core.frame.version import VERSION

# name -> (the module whose `command` it is, what it does in one line)
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "init": ("core.cli.init.command", "Write a run config from a few questions."),
    "distributions": ("core.cli.distributions", "List, show and copy distributions."),
    "config": ("core.cli.config", "Validate or show a run config."),
    "serve": ("core.cli.serve", "Serve a run config on this machine."),
    "run": ("core.cli.run", "The same, as `llama stack run`."),
    "worker": ("core.cli.worker", "Work on a run config's jobs, without serving it."),
    "discover": ("core.cli.discover", "Show the machine, and the models of its upstreams."),
    "apis": ("core.cli.apis", "List what is served of Llama Stack and OGX."),
    "configurations": ("core.cli.configurations.command", "Reconfigure a running stack, and undo it."),
    "files": ("core.cli.files.command", "Upload, list and delete files of a running stack."),
    "vector-stores": (
        "core.cli.vector_stores.command",
        "Make, fill, search and copy vector stores of a stack.",
    ),
    "tools": ("core.cli.tools.command", "List, show and call the tools of a running stack."),
    "responses": ("core.cli.responses.command", "Ask for responses of a running stack, and list them."),
    "conversations": (
        "core.cli.conversations.command",
        "Begin, show and delete conversations of a running stack.",
    ),
    "prompts": ("core.cli.prompts.command", "Keep prompts in versions in a running stack."),
    "agents": ("core.cli.agents.command", "Make agents of a running stack, and talk with them."),
    "sessions": ("core.cli.sessions.command", "Begin, list, show and delete sessions with agents."),
    "batch": ("core.cli.batch.command", "Have files of requests answered by a running stack."),
    "datasets": ("core.cli.datasets.command", "Push, read and delete datasets of a running stack."),
    "benchmarks": ("core.cli.evals.benchmarks", "List, register and delete benchmarks."),
    "scoring-functions": ("core.cli.evals.scoring_functions", "List and show what scores answers."),
    "eval": ("core.cli.evals.command", "Evaluate models and agents of a running stack."),
    "webhooks": ("core.cli.webhooks.command", "Have URLs told when batches and responses have ended."),
    "jobs": ("core.cli.jobs.command", "List, watch and stop the jobs of a running stack."),
    "policy": ("core.cli.policy", "Explain the access policy."),
    "keys": ("core.cli.keys.command", "Create, list and revoke API keys."),
    "usage": ("core.cli.usage.command", "Sum up what calls used and cost, by key, model and more."),
    "audit": ("core.cli.audit.command", "List what administrators have changed, and who did."),
    "data": ("core.cli.data.command", "Show, hand out and delete all that a principal keeps."),
    "principals": ("core.cli.principals", "Show and delete all that a principal keeps."),
    "iam": ("core.cli.iam.command", "Print the IAM policy for Bedrock."),
    "build": ("core.cli.build", "Build the packages for AWS Lambda."),
    "deploy": ("core.cli.deploy.command", "Deploy a run config to AWS Lambda."),
    "providers": ("core.cli.providers.command", "List, check and write provider types."),
    "stack": ("core.cli.stack", "Call run and build by Llama Stack's names."),
    "completion": ("core.cli.completion", "Print a shell's completion script."),
}
EPILOG: Final = """\
\b
Examples:
  llambda serve starter                 a distribution, on port 8321
  llambda serve run.yaml --port 9000 --env VLLM_URL=http://gpu:8000
  llambda config validate run.yaml      every mistake at once
  llambda config show starter --json    what is in force, without secrets
  llambda keys create --name demo --roles admin
  llambda build --report                the packages for AWS Lambda

\b
Exit codes:
  0    done
  1    it failed, or the answer is no (policy explain)
  2    a mistake in the arguments or in the run config
  130  interrupted
"""


class Commands(click.Group):
    """The table as a group; help lists it without importing a command."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as unknown:
            raise click.NoSuchCommand(unknown.command_name, possibilities=COMMANDS, ctx=ctx) from None

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=Commands, epilog=EPILOG)
@click.version_option(VERSION, prog_name="llambda", message="%(prog)s %(version)s")
def command() -> None:
    """A Llama Stack with no server: one OpenAI-compatible endpoint over remote providers."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 is success, 1 a failure, 2 a mistake in the arguments or in the run config, 130 an interrupt."""
    code = _run(arguments)
    try:
        print(end="", flush=True)
    except OSError as failure:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter's own flush complains
        if isinstance(failure, BrokenPipeError) or code:  # the reader left: `| head` has all that it needs
            return code or 1
        return _complain(_reason(failure), 1)
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code: object = command.main(arguments, "llambda", standalone_mode=False)
    except click.ClickException as failure:
        text = StringIO()
        failure.show(text)
        return _complain(text.getvalue().rstrip("\n"), failure.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except OSError as failure:
        return _complain(_reason(failure), 1)
    except _mistakes() as mistake:
        return _complain(str(mistake), 2)
    except _failures() as failure:
        return _complain(f"Error: {failure}", 1)
    return code if isinstance(code, int) else 0


def _reason(failure: OSError) -> str:
    return f"Error: {failure.filename}: {failure.strerror}" if failure.filename else f"Error: {failure}"


def _complain(text: str, code: int) -> int:
    from core.cli.terminal import say

    say(text)
    return code


def _mistakes() -> tuple[type[Exception], ...]:
    """Imported only when something went wrong: `--help` does not need them."""
    from core.resolution.external.compliance import NotCompliant

    return ConfigInvalid, NotCompliant


def _failures() -> tuple[type[Exception], ...]:
    from core.errors import ApiError

    return (ApiError,)


if __name__ == "__main__":
    from core.cli.entry import main as enter

    sys.exit(enter())
