"""Whether a deployment will be let call the Lambda functions that are tools of its run config: said before anything is built."""

from collections.abc import Iterator
from typing import Final

from core.cli.deploy.bedrock import printing_command
from core.cli.deploy.checks import Plan
from core.cli.iam.uses import collect_usage

NOT_CALLABLE: Final = "{} may not call {}, which the parameter ToolFunctionArns does not have. {}"


def function_warnings(plan: Plan) -> Iterator[str]:
    """For the providers that call with the rights of the stack's own functions."""
    allowed = plan.values.get("ToolFunctionArns", "").split(",")
    barred: dict[str, list[str]] = {}
    for use in collect_usage(plan.config).functions:
        if not (use.source.role or use.source.keys or any(_is_of(arn, use.name) for arn in allowed)):
            barred.setdefault(use.source.provider_id, []).append(f"`{use.name}`")
    for provider_id, names in barred.items():
        yield NOT_CALLABLE.format(f"provider `{provider_id}`", ", ".join(names), printing_command(plan))


def _is_of(arn: str, name: str) -> bool:
    """Whether it is the ARN of a function that is called by this ARN or name."""
    return arn == name or arn.endswith(f":function:{name}")
