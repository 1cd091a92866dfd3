"""`llambda eval`: evaluations of models and agents in a running stack, over HTTP."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack

import click

from core.cli.evals import output
from core.cli.evals.candidates import Asked, candidates_of, read_params
from core.cli.evals.comparing import TABLE, compare_results
from core.cli.evals.waiting import begin, wait_for
from core.cli.options import print_json
from core.cli.remote import StackOptions, open_client, stack_options
from core.cli.terminal import clean, clip_table

if TYPE_CHECKING:
    from core.apis.answers.evals import EvalJob, EvalResult
    from core.client.api import Client

LISTING: Final = "llambda benchmarks list"
KIND: Final = "eval"
EXAMPLES: Final = """\
\b
Examples:
  llambda eval run basics --model local/smollm2-135m-instruct
  llambda eval list
  llambda eval show basics 0
  llambda eval compare basics 0 1
  llambda eval cancel basics 0
"""
RUN: Final = """\
\b
Examples:
  llambda eval run basics --model local/smollm2-135m-instruct
  llambda eval run basics --model small --model large --num-examples 20
  llambda eval run basics --agent agent.yaml --no-watch
  llambda eval run judged --model small --scoring-params \\
    '{"llm-as-judge::base": {"judge_model": "large"}}'
\b
Exit codes:
  0  every evaluation completed (--no-watch: is under way)
  1  one failed or was cancelled; what there is of it is shown
"""
RESULT: Final = """\
\b
Examples:
  llambda eval result basics 0
  llambda eval result basics 0 1
  llambda eval result basics 0 --out answers.jsonl
"""
COMPARE: Final = """\
\b
Examples:
  llambda eval compare basics 0 1
  llambda eval compare basics 0 1 --json | jq '.[].chance'
"""


def _example(line: str) -> str:
    return f"\b\nExamples:\n  llambda eval {line}\n"


class RunOptions(StackOptions, Asked):
    """What is evaluated, with how many rows, and how it is scored."""

    num_examples: int | None
    scoring_params: str | None
    watch: bool


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Evaluate models and agents by benchmarks of a running stack.

    An evaluation is a job; its ID counts within its benchmark, from 0.
    """


@command.command(epilog=RUN)
@click.argument("benchmark", metavar="BENCHMARK")
@click.option("--model", metavar="ID", multiple=True, help="The model to evaluate (repeatable, to compare).")
@click.option(
    "--agent",
    metavar="FILE",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, readable=True),
    help="The config of an agent to evaluate, YAML or JSON (repeatable).",
)
@click.option("--num-examples", metavar="N", type=click.IntRange(1), help="The first N rows; else all.")
@click.option("--system", metavar="TEXT", help="What a model is told before each question.")
@click.option("--temperature", metavar="T", type=click.FloatRange(0, 2), help="Of a model's answers (0).")
@click.option("--max-tokens", metavar="N", type=click.IntRange(1), help="Of each answer of a model.")
@click.option("--scoring-params", metavar="JSON", help="Of scoring functions, by their ids, for this run.")
@click.option("--watch/--no-watch", default=True, show_default=True, help="Wait, and show the scores.")
@stack_options
def run(benchmark: str, *, as_json: bool, **options: Unpack[RunOptions]) -> int:
    """Evaluate models or agents, and show the scores.

    The evaluation goes on without this command, too; Ctrl-C leaves it.
    """
    candidates, params = candidates_of(options), read_params(options["scoring_params"])
    config: dict[str, Any] = {"scoring_params": params}
    if options["num_examples"] is not None:
        config["num_examples"] = options["num_examples"]
    with open_client(options["url"], options.get("api_key"), listing=LISTING) as client:
        jobs = [
            (candidate.name, begin(client, benchmark, {**config, "eval_candidate": candidate.config}))
            for candidate in candidates
        ]
        if options["watch"]:
            return _watch(client, benchmark, jobs, as_json=as_json)
    if as_json:
        print_json([job for _, job in jobs])
    else:
        click.echo("\n".join(output.status_line(benchmark, job) for _, job in jobs))
    return 0


@command.command("list", epilog=_example("list --limit 50"))
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 100), default=20, show_default=True, help="At most N evaluations."
)
@stack_options
def list_(limit: int, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """List your evaluations, newest first.

    Each run of one that was retried is a row. The ids among all jobs are in --json.
    """
    with open_client(**stack) as client:
        jobs = client.jobs.list(kind=KIND, limit=limit)["data"]
    if as_json:
        print_json(jobs)
    elif not jobs:
        click.echo("no evaluations")
    else:
        print("\n".join(clip_table(output.JOBS, map(output.list_row, jobs))))


@command.command(epilog=_example("show basics 0"))
@click.argument("benchmark", metavar="BENCHMARK")
@click.argument("job", metavar="ID")
@stack_options
def show(benchmark: str, job: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Show an evaluation: how far it is, and what it used."""
    with open_client(**stack, listing=LISTING) as client:
        view = client.evals.get(benchmark, job)
    print_json(view) if as_json else click.echo("\n".join(output.job_lines(benchmark, view)))


@command.command(epilog=_example("watch basics 0"))
@click.argument("benchmark", metavar="BENCHMARK")
@click.argument("job", metavar="ID")
@stack_options
def watch(benchmark: str, job: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> int:
    """Wait until an evaluation has ended, and show the scores.

    The exit code is 1 where it failed or was cancelled.
    """
    with open_client(**stack, listing=LISTING) as client:
        return _watch(client, benchmark, [(f"evaluation {job}", client.evals.get(benchmark, job))], as_json=as_json)


@command.command(epilog=_example("cancel basics 0"))
@click.argument("benchmark", metavar="BENCHMARK")
@click.argument("job", metavar="ID")
@stack_options
def cancel(benchmark: str, job: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Stop an evaluation; what was evaluated is kept."""
    with open_client(**stack, listing=LISTING) as client:
        client.evals.cancel(benchmark, job)
        view = client.evals.get(benchmark, job)
    print_json(view) if as_json else click.echo(output.status_line(benchmark, view))


@command.command(epilog=RESULT)
@click.argument("benchmark", metavar="BENCHMARK")
@click.argument("jobs", metavar="ID...", nargs=-1, required=True)
@click.option(
    "--out", metavar="FILE", type=click.Path(path_type=Path), help="Write each row's answer and scores, as JSON lines."
)
@stack_options
def result(
    benchmark: str, jobs: tuple[str, ...], out: Path | None, *, as_json: bool, **stack: Unpack[StackOptions]
) -> None:
    """Show the scores of evaluations that have ended, one below the other."""
    if out is not None and len(jobs) > 1:
        raise click.UsageError("--out is of one evaluation.")
    with open_client(**stack, listing=LISTING) as client:
        results = [(f"evaluation {job}", client.evals.result(benchmark, job)) for job in jobs]
    if out is not None:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in output.result_rows(results[0][1]))
        with out.open("x", encoding="utf-8") as file:
            file.writelines(lines)
    if as_json:
        print_json({job: scores for job, (_, scores) in zip(jobs, results, strict=True)})
    else:
        _print(results)


@command.command(epilog=COMPARE)
@click.argument("benchmark", metavar="BENCHMARK")
@click.argument("first", metavar="ID")
@click.argument("second", metavar="ID")
@stack_options
def compare(benchmark: str, first: str, second: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Compare two evaluations row by row.

    BY CHANCE is how likely so one-sided a result is where neither is better: below 5 %, the one with more rows probably is.
    """
    with open_client(**stack, listing=LISTING) as client:
        results = [client.evals.result(benchmark, job) for job in (first, second)]
    comparisons = list(compare_results(*results))
    if as_json:
        print_json([comparison.as_json() for comparison in comparisons])
    elif not comparisons:
        click.echo("no scoring function scored both")
    else:
        print("\n".join(clip_table(TABLE, (comparison.as_row() for comparison in comparisons))))


def _watch(client: "Client", benchmark: str, jobs: "list[tuple[str, EvalJob]]", *, as_json: bool) -> int:
    """Whether one did not complete, as an exit code."""
    ended = [(name, wait_for(client, benchmark, job)) for name, job in jobs]
    results = [
        (name, client.evals.result(benchmark, job["job_id"])) for name, job in ended if job["status"] != "failed"
    ]
    if as_json:
        by_name = dict(results)
        print_json([{"candidate": name, "job": job, "result": by_name.get(name)} for name, job in ended])
    else:
        for name, job in ended:
            error = job.get("error")
            reason = f": {error['message']}" if error else ""
            click.echo(clean(f"{output.status_line(benchmark, job)}  {name}{reason}"))
        _print(results)
    return int(any(job["status"] != "completed" for _, job in ended))


def _print(results: "list[tuple[str, EvalResult]]") -> None:
    rows = [row for name, result in results for row in output.score_rows(name, result)]
    if rows:
        print("\n".join(clip_table(output.SCORES, rows)))
