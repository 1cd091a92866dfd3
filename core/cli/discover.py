"""`llambda discover`: what the stack runs on, and what its upstreams offer."""

import asyncio
from collections.abc import Iterator
import logging
from textwrap import wrap
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from core.cli.logs import log_as_asked
from core.cli.options import Pairs, config_option, env_option, json_option, load_checked, print_json
from core.cli.remote import api_key_option, clean, reaching
from core.platform import environment

if TYPE_CHECKING:
    from core.apis.discovery import Environment, OfferedModel, RunsOn, Upstream

WIDTH: Final = 80
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
    "--url", metavar="URL", envvar="LLAMBDA_URL", show_envvar=True, help="Ask the stack that runs here instead."
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
    here = bool(env) or _is_typed(context, "config")
    if here and _is_typed(context, "url"):
        raise click.UsageError("--url asks a stack that runs already: leave out --config and --env, or leave out --url")
    found = asyncio.run(_here(config, env)) if here or not url else _there(url, api_key)
    if as_json:
        print_json(found)
        return
    for line in _lines(found):
        click.echo(clean(line))


def _is_typed(context: click.Context, name: str) -> bool:
    """And not from the environment, which what is typed comes before."""
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


async def _here(config: str, env: Pairs) -> "Environment":
    """From this machine, as the admin function would answer."""
    from core.config.load import load
    from core.frame.version import VERSION
    from core.resolution.resolve import resolve

    log_as_asked(logging.ERROR)  # that an upstream is down is in the answer
    path, _ = load_checked(config, env)
    stack = await resolve(load(path, environment.environ()), ["admin"], version=VERSION)
    try:
        found: Environment = await stack.surfaces["discovery"](None).environment()
    finally:
        await stack.close()
    return found


def _there(url: str, api_key: str | None) -> "Environment":
    with reaching(url, api_key) as client:
        return client.inspect.environment()


def _lines(found: "Environment") -> Iterator[str]:
    yield f"llambda {found['version']} on {'AWS Lambda' if found['runs_on']['kind'] == 'lambda' else 'a machine'}"
    for name, value in _machine(found["runs_on"]):
        yield from wrap(value, WIDTH, initial_indent=f"  {name:<12}", subsequent_indent=" " * 14)
    for upstream in found["upstreams"]:
        yield ""
        yield from _upstream(upstream)


def _machine(on: "RunsOn") -> Iterator[tuple[str, str]]:
    """What is known of it."""
    yield "processors", f"{on['vcpus']:g}, {on['architecture']}"
    for name, value, unit in (
        ("memory", on["memory_mb"], " MB"),
        ("storage", on["temporary_storage_mb"], " MB in /tmp"),
        ("open files", on["open_files"], " at most"),
        ("timeout", on["timeout_seconds"], " seconds"),
        ("region", on["region"], ""),
        ("gpus", ", ".join(on["gpus"]) or None, ""),
        ("python", on["python"], ""),
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
        yield from [line] if len(line) <= WIDTH else [f"  {model['id']}", f"      {_facts(model)}"]
    for guardrail in upstream.get("guardrails", []):
        yield f"  guardrail {guardrail}"
    if "error" in upstream:
        yield from wrap(upstream["error"], WIDTH, initial_indent="  error: ", subsequent_indent="  ")
    elif not models and not upstream.get("guardrails"):
        yield "  offers nothing that it tells of"


def _facts(model: "OfferedModel") -> str:
    facts = [
        model["model_type"],
        f"{model['context_length']} tokens" if "context_length" in model else "",
        f"adapter of {model['adapter_of']}" if "adapter_of" in model else "",
        f"profile of {model['profile_of']}" if "profile_of" in model else "",
    ]
    return ", ".join(fact for fact in facts if fact)
