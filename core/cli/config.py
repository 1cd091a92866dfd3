"""`llambda config validate` and `llambda config show`."""

from datetime import UTC, datetime
import sys
from typing import TYPE_CHECKING, Final

import click

from core.cli.options import Pairs, config_argument, env_option, json_option, load_for, load_valid_config, print_json
from core.cli.terminal import paint, say
from core.config.problems import ConfigInvalid

if TYPE_CHECKING:
    from core.resolution.deployment import DeployTarget

EXAMPLES: Final = """\
\b
Examples:
  llambda config validate run.yaml
  llambda config validate run.yaml --target lambda
  llambda config validate run.yaml --json | jq '.problems[].path'
  llambda config show starter --env VLLM_URL=http://gpu:8000
"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Validate or show a run config."""


@command.command(epilog=EXAMPLES)
@config_argument
@click.option(
    "--target",
    type=click.Choice(["laptop", "lambda"]),
    default="laptop",
    help="Where it is to be served: what keeps files on one machine cannot be on Lambda.",
)
@env_option
@json_option
def validate(config: str, env: Pairs, target: "DeployTarget", *, as_json: bool) -> None:
    """Report every mistake in a run config at once.

    The exit code is 0 for a valid run config, and 2 for a mistake. Notes say what is served otherwise than it is written, or
    not at all.
    """
    try:
        path, checked, notices = load_for(target, config, env)
    except ConfigInvalid as invalid:
        if not as_json:
            raise
        problems = [{"path": problem.path, "message": problem.message} for problem in invalid.problems]
        hint = {"hint": invalid.hint} if invalid.hint else {}
        print_json({"config": invalid.source, "valid": False, "problems": problems, **hint})
        raise click.exceptions.Exit(2) from None
    from core.resolution.price_dates import price_warnings
    from core.resolution.protection import protection_warnings

    warnings = protection_warnings(checked.server.auth) + price_warnings(checked, datetime.now(UTC).date())
    providers = sum(len(entries) for entries in checked.providers.values())
    resources = sum(len(entries) for entries in checked.resources.values())
    if as_json:
        answer = {"config": str(path), "valid": True, "problems": (), "providers": providers, "resources": resources}
        notes = [{"path": notice.path, "message": notice.message} for notice in notices]
        print_json(answer | ({"warnings": warnings} if warnings else {}) | ({"notes": notes} if notes else {}))
        return
    for notice in notices:
        say(f"note: {notice}")
    for warning in warnings:
        say(f"warning: {warning}")
    valid = paint("valid", "good", sys.stdout)
    print(f"{path}: {valid} ({_count(providers, 'provider')}, {_count(resources, 'resource')})")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@command.command(epilog=EXAMPLES)
@config_argument
@env_option
@json_option
def show(config: str, env: Pairs, *, as_json: bool) -> None:
    """Print the run config that is in force.

    Variables are substituted, and secrets redacted.
    """
    import yaml

    from core.config.redact import redact

    _, checked = load_valid_config(config, env)
    document = redact(checked.model_dump(mode="json"))
    if as_json:
        print_json(document)
    else:
        print(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), end="")
