"""Whether a deployment will be let call what its run config uses of Bedrock: said before anything is built."""

from collections.abc import Iterator
from shlex import quote
from typing import Final

from core.cli.deploy.checks import Plan
from core.cli.iam.uses import Usage, collect_usage
from core.config.redact import names_secret
from core.platform.commands import path_word, program

NONE_CALLABLE: Final = "{} may call no model of Bedrock: the parameter BedrockModelArns is empty."
NO_ROLE: Final = "{} may not assume {}: it is not in the parameter BedrockRoleArns."
PRINTED: Final = "For what {} declares, this prints the parameters; give them with --param:\n  {}"
UNDECLARED: Final = (
    "{} declares no model of Bedrock. Give the ARNs of those that may be called, with commas between them, as\n"
    "  --param BedrockModelArns=arn:aws:bedrock:{}::foundation-model/amazon.nova-lite-v1:0"
)


def bedrock_warnings(plan: Plan) -> Iterator[str]:
    """For the providers that call with the rights of the functions themselves, or with those of a role that is assumed."""
    usage = collect_usage(plan.config)
    calling = [source for source in usage.sources if source.api == "inference" and not source.keys]
    own = [source.provider_id for source in calling if not source.role]
    roles = plan.values.get("BedrockRoleArns", "").split(",")
    barred = [source for source in calling if source.role and source.role not in roles]
    for source in barred:
        yield NO_ROLE.format(f"provider `{source.provider_id}`", source.role)
    if own and not plan.values.get("BedrockModelArns"):
        names = ", ".join(f"`{name}`" for name in own)
        yield f"{NONE_CALLABLE.format(f'provider {names}')} {_what_to_do(plan, usage)}"


def _what_to_do(plan: Plan, usage: Usage) -> str:
    if not any(not model.source.role and not model.source.keys for model in usage.models):
        return UNDECLARED.format(plan.path.name, plan.values.get("BedrockRegion") or plan.stack.region)
    return printing_command(plan)


def printing_command(plan: Plan) -> str:
    """What prints the parameters for all that the run config declares."""
    words = [f"--env {quote(f'{name}={value}')}" for name, value in _variables(plan)]
    return PRINTED.format(
        plan.path.name,
        " ".join([f"{program()} iam {path_word(plan.path)}", *words, "--lookup --format parameters"]),
    )


def _variables(plan: Plan) -> Iterator[tuple[str, str]]:
    """Those of the functions that the run config reads."""
    from core.cli.deploy.template import Values

    text = plan.path.read_text("utf-8")
    yield "AWS_REGION", plan.stack.region
    for name, value in Values(plan.template, plan.values, plan.stack.region).variables().items():
        if value and f"env.{name}" in text and not names_secret(name):
            yield name, value
