"""`llambda jobs`: the jobs of a running stack, over HTTP."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Unpack

import click

from core.cli.jobs import output
from core.cli.jobs.waiting import wait_for
from core.cli.options import print_json
from core.cli.remote import StackOptions, open_client, stack_options
from core.cli.terminal import clip_table

if TYPE_CHECKING:
    from core.apis.answers.jobs import JobView
    from core.client.api import Client

PAGE: Final = 100
EXAMPLES: Final = """\
\b
Examples:
  llambda jobs list --kind batch
  llambda jobs watch job_4f1c
  llambda jobs cancel job_4f1c
  llambda jobs retry job_4f1c --watch
"""
WATCH: Final = """\
\b
Examples:
  llambda jobs watch job_4f1c
  llambda jobs watch job_4f1c --json | jq .result
\b
Exit codes:
  0  the job completed
  1  it failed, was cancelled or expired
"""


def _example(line: str) -> str:
    return f"\b\nExamples:\n  llambda jobs {line}\n"


@click.group(epilog=EXAMPLES)
def command() -> None:
    """List, watch and stop the jobs of a running stack.

    A job is work that outlives the request that made it. What it has done is kept when it is cancelled.
    """


@command.command("list", epilog=_example("list --kind batch --limit 50"))
@click.option("--kind", metavar="NAME", help="Only jobs of this kind.")
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most N jobs."
)
@stack_options
def list_(kind: str | None, limit: int, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """List your jobs, newest first."""
    with open_client(**stack) as client:
        jobs = list(_pages(client, kind, limit))
    if as_json:
        print_json(jobs)
    elif not jobs:
        click.echo("no jobs")
    else:
        print("\n".join(clip_table(output.LIST, map(output.list_row, jobs))))


@command.command(epilog=_example("show job_4f1c"))
@click.argument("job", metavar="ID")
@stack_options
def show(job: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Show a job: how far it is, what it used, what came of it."""
    with open_client(**stack) as client:
        view = client.jobs.get(job)
    _print(view, as_json=as_json)


@command.command(epilog=WATCH)
@click.argument("job", metavar="ID")
@stack_options
def watch(job: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> int:
    """Wait until a job has ended, and show how far it is."""
    with open_client(**stack) as client:
        return _watch(client, job, as_json=as_json)


@command.command(epilog=_example("cancel job_4f1c"))
@click.argument("job", metavar="ID")
@stack_options
def cancel(job: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Stop a job; what it has done is kept."""
    with open_client(**stack) as client:
        view = client.jobs.cancel(job)
    print_json(view) if as_json else click.echo(output.status_line(view))


@command.command(epilog=_example("retry job_4f1c --watch"))
@click.argument("job", metavar="ID")
@click.option("--watch", "watching", is_flag=True, help="Wait until the new job has ended.")
@stack_options
def retry(job: str, *, watching: bool, as_json: bool, **stack: Unpack[StackOptions]) -> int:
    """Make a job that has ended once more, as a new one."""
    with open_client(**stack) as client:
        view = client.jobs.retry(job)
        if watching:
            return _watch(client, view["id"], as_json=as_json)
    print_json(view) if as_json else click.echo(output.status_line(view))
    return 0


def _print(view: "JobView", *, as_json: bool) -> None:
    print_json(view) if as_json else click.echo("\n".join(output.job_lines(view)))


def _pages(client: "Client", kind: str | None, limit: int) -> "Iterator[JobView]":
    """One page of all kinds, or as many of one as it takes."""
    after, rest, more = None, limit, True
    while more and rest > 0:
        page = client.jobs.list(kind=kind, after=after, limit=min(rest, PAGE))
        yield from page["data"]
        rest -= len(page["data"])
        after, more = page["last_id"], page["has_more"] and kind is not None


def _watch(client: "Client", job: str, *, as_json: bool) -> int:
    """Whether it did not complete, as an exit code."""
    view = wait_for(client, job)
    _print(view, as_json=as_json)
    return 0 if view["status"] == "completed" else 1
