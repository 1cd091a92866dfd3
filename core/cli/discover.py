"""`llambda discover`: what the stack runs on, and what its upstreams offer."""

import asyncio
from collections.abc import Iterator
import logging
import sys
from textwrap import wrap
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from core.cli.logs import start_logging
from core.cli.options import Pairs, config_option, env_option, json_option, load_valid_config, print_json
from core.cli.remote import api_key_option, open_client
from core.cli.terminal import clean, width_of
from core.platform.environment import environ

if TYPE_CHECKING:
    from core.apis.discovery import Environment, OfferedModel, RunsOn, Upstream

WIDEST_ID: Final = 48  # of those that the others are lined up with
EXAMPLES: Final = """\
\b
Examples:
  llambda discover
  llambda discover --config run.yaml --env VLLM_URL=http://gpu:8000
  llambda discover --url https://llambda.example.com
  llambda discover --json | jq '.upstreams[].models[].id'
"""


@click.command(epilog=EXAMPLES)
@config_option()
@env_option
@click.option(
    "--url", metavar="URL", envvar="LLAMBDA_URL", show_envvar=True, help="Ask the stack that runs at this URL instead."
)
@api_key_option
@json_option
@click.pass_context
def command(
    context: click.Context, config: str, env: Pairs, *, url: str | None, api_key: str | None, as_json: bool
) -> None:
    """Show what the stack runs on, and what its upstreams offer.

    Without --url the run config's providers are asked from this machine. An upstream that is down is shown with the
    reason; the exit code is 0 all the same.
    """
    local = bool(env) or _on_command_line(context, "config")
    if local and _on_command_line(context, "url"):
        raise click.UsageError("--url asks a running stack: leave out --config and --env, or leave out --url")
    environment = (
        asyncio.run(_resolve_environment(config, env)) if local or not url else _fetch_environment(url, api_key)
    )
    if as_json:
        print_json(environment)
        return
    for line in _lines(environment):
        click.echo(clean(line))


def _on_command_line(context: click.Context, name: str) -> bool:
    """And not from a variable, which only counts where the command line says nothing."""
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


async def _resolve_environment(config: str, env: Pairs) -> "Environment":
    """From this machine, as the admin function would answer."""
    from core.config.load import load
    from core.frame.version import VERSION
    from core.resolution.resolve import resolve

    start_logging(logging.ERROR)  # no warnings: that an upstream is down is in the answer
    path, _ = load_valid_config(config, env)
    stack = await resolve(load(path, environ()), ["admin"], version=VERSION)
    try:
        answer: Environment = await stack.surfaces["discovery"](None).environment()
    finally:
        await stack.close()
    return answer


def _fetch_environment(url: str, api_key: str | None) -> "Environment":
    with open_client(url, api_key) as client:
        return client.inspect.environment()


def _lines(environment: "Environment") -> Iterator[str]:
    machine = environment["runs_on"]
    yield f"llambda {environment['version']} on {'AWS Lambda' if machine['kind'] == 'lambda' else 'a machine'}"
    for name, value in _machine(machine):
        yield from wrap(value, width_of(sys.stdout), initial_indent=f"  {name:<12}", subsequent_indent=" " * 14)
    for upstream in environment["upstreams"]:
        yield ""
        yield from _upstream(upstream)


def _machine(machine: "RunsOn") -> Iterator[tuple[str, str]]:
    """Names and values, without those that are not known."""
    yield "processors", f"{machine['vcpus']:g}, {machine['architecture']}"
    for name, value, unit in (
        ("memory", machine["memory_mb"], " MB"),
        ("storage", machine["temporary_storage_mb"], " MB in /tmp"),
        ("open files", machine["open_files"], " at most"),
        ("timeout", machine["timeout_seconds"], " seconds"),
        ("region", machine["region"], ""),
        ("gpus", ", ".join(machine["gpus"]) or None, ""),
        ("python", machine["python"], ""),
    ):
        if value is not None:
            yield name, f"{value}{unit}"


def _upstream(upstream: "Upstream") -> Iterator[str]:
    facts = [
        f"version {upstream['version']}" if "version" in upstream else "",
        upstream.get("region", ""),
        "" if upstream.get("credentials", True) else "no credentials",
    ]
    head = f"{upstream['api']} {upstream['provider_id']} ({upstream['provider_type']})"
    yield ", ".join([head, *(fact for fact in facts if fact)])
    models = upstream.get("models", [])
    width = max((len(model["id"]) for model in models if len(model["id"]) <= WIDEST_ID), default=0)
    for model in models:
        line = f"  {model['id']:<{width}}  {_facts(model)}"
        yield from [line] if len(line) <= width_of(sys.stdout) else [f"  {model['id']}", f"      {_facts(model)}"]
    for guardrail in upstream.get("guardrails", []):
        yield f"  guardrail {guardrail}"
    if "error" in upstream:
        yield from wrap(upstream["error"], width_of(sys.stdout), initial_indent="  error: ", subsequent_indent="  ")
    elif not models and not upstream.get("guardrails"):
        yield "  lists no models and no guardrails"


def _facts(model: "OfferedModel") -> str:
    facts = [
        model["model_type"],
        f"{model['context_length']} tokens" if "context_length" in model else "",
        f"adapter of {model['adapter_of']}" if "adapter_of" in model else "",
        f"profile of {model['profile_of']}" if "profile_of" in model else "",
    ]
    return ", ".join(fact for fact in facts if fact)
