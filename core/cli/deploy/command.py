"""`llambda deploy`: from a run config to an API on AWS, by way of a change set that is shown first."""

from collections.abc import Generator
from contextlib import contextmanager
import sys
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

import click

from core.cli.options import CONFIG_HELP, ConfigName, Pairs, env_option, json_option, print_json
from core.cli.terminal import say, ticking, width_of

if TYPE_CHECKING:
    from core.cli.deploy.checks import Plan
    from core.cli.deploy.stack import Event, Proposal, ResourceChange

EXAMPLES: Final = """\
\b
Examples:
  llambda deploy --region us-east-1 --param VllmUrl=https://vllm.example.com
  llambda deploy mine.yaml --stack-name chat --dry-run
  llambda deploy mine.yaml --param BedrockRegion=us-east-1 --yes --json
  llambda deploy mine.yaml \\
      --param "$(llambda iam mine.yaml --lookup --format parameters)"
"""
GOES_ON: Final = """\
The deployment of {stack} goes on without this command. To follow it:
  aws cloudformation describe-stack-events --stack-name {stack} --region {region} --max-items 10"""


class Options(TypedDict):
    """As click has them."""

    config: str
    stack_name: str
    region: str | None
    params: tuple[str, ...]
    env: Pairs
    to_all: bool
    yes: bool
    dry_run: bool
    as_json: bool


@click.command(epilog=EXAMPLES)
@click.argument("config", metavar="[CONFIG]", required=False, type=ConfigName(), default="lambda", help=CONFIG_HELP)
@click.option("--stack-name", metavar="NAME", default="llambda", show_default=True, help="The CloudFormation stack.")
@click.option("--region", metavar="REGION", help="Where it is (default: as the AWS environment says).")
@click.option(
    "--param",
    "params",
    metavar="KEY=VALUE",
    multiple=True,
    help="Set a parameter of template.yaml (repeatable; several with blanks between).",
)
@env_option
@click.option("--open", "to_all", is_flag=True, help="Deploy also where anybody may call, without server.auth.")
@click.option("--yes", is_flag=True, help="Deploy without asking.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@json_option
def command(**options: Unpack[Options]) -> None:
    """Deploy a run config to AWS Lambda: check, build, show what would change, ask, deploy.

    CONFIG is `lambda` unless it is given. This works in a checkout, with the AWS credentials of the environment. A
    parameter that is not given stays as it is in the stack. --env is for variables that template.yaml passes on from a
    parameter. Progress goes to the standard error.
    """
    from core.cli.deploy.sam import SamFailed
    from core.cli.deploy.stack import AwsFailed

    try:
        _deploy(options)
    except AwsFailed as failed:
        raise click.ClickException(f"AWS: {failed}") from failed
    except SamFailed as failed:
        raise click.ClickException(str(failed)) from failed


def _deploy(options: Options) -> None:
    from core.cli.deploy import output as shown
    from core.cli.deploy.bedrock import bedrock_warnings
    from core.cli.deploy.functions import function_warnings

    plan = _make_plan(options)
    for warning in (*bedrock_warnings(plan), *function_warnings(plan)):
        say(f"warning: {warning}")
    with ticking(f"building {plan.path.name} for {plan.values['Architecture']}; this takes a minute or two"):
        plan.build()
    with _propose(plan) as proposal:
        _show(plan, proposal.changes, as_json=options["as_json"])
        outputs = _execute(plan, proposal, options)
    if options["as_json"]:
        print_json(shown.as_json(plan, proposal.changes, outputs))
    elif outputs is not None:
        print("\n".join(shown.calls(plan, outputs)))


def _make_plan(options: Options) -> "Plan":
    from core.cli.deploy.checks import DeployOptions, make_plan

    say("checking the run config, the parameters and the stack")
    return make_plan(
        DeployOptions(
            config=options["config"],
            stack=options["stack_name"],
            region=options["region"],
            params=options["params"],
            env=options["env"],
            to_all=options["to_all"],
            unasked=not (options["yes"] or options["dry_run"] or sys.stdin.isatty()),
        )
    )


@contextmanager
def _propose(plan: "Plan") -> Generator["Proposal"]:
    """What would change; whatever happens, no change set stays behind that was not executed."""
    from core.cli.deploy.stack import AwsFailed

    stack = plan.stack
    earlier = stack.change_sets()
    proposal = None
    try:
        with ticking("uploading the packages, and asking what would change"):
            plan.propose()
        proposal = stack.proposal(earlier)
        yield proposal
    finally:
        if proposal is None or not proposal.executed:
            try:
                stack.discard(earlier, new=plan.before is None)
            except AwsFailed as failed:
                say(f"note: a change set may be left in {stack.name}: {failed}")


def _show(plan: "Plan", changes: "list[ResourceChange]", *, as_json: bool) -> None:
    """To the standard error where the standard output is for JSON."""
    from core.cli.deploy import output as shown

    width = width_of(sys.stderr if as_json else sys.stdout)
    parts = [shown.parameters(plan, width), "There is nothing to change."]
    if changes:
        parts[1] = f"{shown.changes(changes, width)}\n{shown.summarize_changes(changes)}"
    print("\n\n".join(["", *parts]), file=sys.stderr if as_json else sys.stdout, flush=True)


def _execute(plan: "Plan", proposal: "Proposal", options: Options) -> dict[str, str] | None:
    """The outputs of the stack as it is now; None after a dry run."""
    if options["dry_run"]:
        say("dry run: nothing was changed")
        return None
    if proposal.changes:
        if not options["yes"] and not click.confirm("Deploy?", err=True):
            raise click.ClickException("Not deployed; nothing was changed.")
        _follow(plan, proposal)
    after = plan.stack.describe()
    return {} if after is None else after.outputs


def _follow(plan: "Plan", proposal: "Proposal") -> None:
    """Until it has ended; a failure names the resource that failed first."""
    from core.cli.deploy import output as shown
    from core.cli.deploy.stack import DEPLOYED, AwsFailed

    goes_on = GOES_ON.format(stack=plan.stack.name, region=plan.stack.region)
    seen: list[Event] = []
    try:
        for event in plan.stack.execute(proposal):
            seen.append(event)
            if shown.is_progress(event):
                say(shown.line(event))
    except KeyboardInterrupt:
        if proposal.executed:
            say(f"\n{goes_on}")
        raise click.Abort from None
    except AwsFailed as failed:
        if not proposal.executed:
            raise
        raise AwsFailed(f"{failed}\n{goes_on}") from failed
    if seen[-1].status not in DEPLOYED:
        raise click.ClickException(shown.failure(plan.stack.name, seen))
