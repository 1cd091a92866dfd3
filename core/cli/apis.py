"""`llambda apis`: what this build serves of Llama Stack 0.2.12 and of OGX 1.5.0, and what it serves beyond them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
import re
from typing import TYPE_CHECKING, Any, Final, override

import click
from click.shell_completion import CompletionItem

from core.cli.options import json_option, print_json
from core.cli.terminal import show, wrap_table
from core.platform.suggestions import did_you_mean

if TYPE_CHECKING:
    from core.frame.api import RouteRow

GENERATIONS: Final = {"0.2": "Llama Stack 0.2.12", "1.5": "OGX 1.5.0"}
TABLE: Final = Path(__file__).with_name("reference_operations.txt")
PARAMETER: Final = re.compile(r"\{[^{}]*\}")
OLDER_PREFIX: Final = "/v1/openai/v1/"  # of what 1.5 has under /v1
OTHER_PREFIXES: Final = (OLDER_PREFIX, "/v1alpha/", "/v1beta/")  # under which 0.7 has what 0.2 has under /v1
ELSEWHERE: Final = f"* in 0.2 under {OLDER_PREFIX}"
EXAMPLES: Final = """\
\b
Examples:
  llambda apis
  llambda apis --api inference
  llambda apis --all
  llambda apis --json | jq '.operations[] | select(.api == "files")'
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a generation has an operation, and whether this build answers there."""

    path: str
    is_served: bool


@dataclass(frozen=True, slots=True)
class ReferenceOperation:
    """`places` are by generation; one that lacks the operation (not yet, or no more) is not among them."""

    api: str
    method: str
    places: Mapping[str, Place]
    deprecated: bool

    @property
    def path(self) -> str:
        """In the newest generation that has it."""
        return self.places[max(self.places)].path

    @property
    def paths_differ(self) -> bool:
        """Whether the generations have it at different paths, whatever their parameters are called."""
        return len({_without_names(place.path) for place in self.places.values()}) > 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """`beyond` are the routes of this build that neither generation has; one that has two prefixes is there once."""

    operations: tuple[ReferenceOperation, ...]
    beyond: tuple["RouteRow", ...]


def compare() -> Comparison:
    """This build beside both generations. A path matches whatever its parameters are called."""
    from core.apis.index import names, route_rows

    rows = list(route_rows(names()))
    routes = {(row.method, _without_names(row.path)) for row in rows}
    operations = tuple(_reference_operations(routes))
    reference_routes = {(op.method, _without_names(place.path)) for op in operations for place in op.places.values()}
    return Comparison(operations, tuple(_beyond(rows, routes, reference_routes)))


def count(operations: Iterable[ReferenceOperation], generation: str) -> tuple[int, int]:
    """How many of a generation's are served, and how many there are."""
    places = [op.places[generation] for op in operations if generation in op.places]
    return sum(place.is_served for place in places), len(places)


def _reference_operations(routes: set[tuple[str, str]]) -> Iterator[ReferenceOperation]:
    for line in TABLE.read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        api, method, older, newer, *rest = line.split()
        paths = {"0.2": older, "1.5": older if newer == "=" else newer}
        places = {
            generation: Place(path, (method, _without_names(path)) in routes)
            for generation, path in paths.items()
            if path != "-"
        }
        yield ReferenceOperation(api, method, places, "deprecated" in rest)


def _beyond(
    rows: Iterable["RouteRow"], routes: set[tuple[str, str]], reference_routes: set[tuple[str, str]]
) -> Iterator["RouteRow"]:
    for row in rows:
        path = _without_names(row.path)
        prefix = next((prefix for prefix in OTHER_PREFIXES if path.startswith(prefix)), None)
        again = prefix is not None and (row.method, path.replace(prefix, "/v1/", 1)) in routes
        if (row.method, path) not in reference_routes and not again:
            yield row


def _without_names(path: str) -> str:
    """`{model_id}` and `{model_id:path}` are both `{id}`."""
    return PARAMETER.sub("{id}", path)


class ApiName(click.ParamType[str]):
    """An API of either generation; the table is not read before the command runs."""

    name = "api"

    @override
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        names = {line.split()[0] for line in TABLE.read_text("utf-8").splitlines() if not line.startswith("#")}
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


@click.command(epilog=EXAMPLES)
@click.option("--api", metavar="NAME", type=ApiName(), help="List the operations of one API.")
@click.option("--all", "all_", is_flag=True, help="List every operation, and what llambda has beyond both.")
@json_option
def command(*, api: str | None, all_: bool, as_json: bool) -> None:
    """Show what is served of Llama Stack 0.2.12 and OGX 1.5.0.

    It is about this build; a run config may ask for fewer APIs. `yes` is served, `no` is not, and `-` means that the
    generation does not have it.
    """
    comparison = compare()
    operations = _select(comparison.operations, api)
    if as_json:
        print_json(_document(operations, () if api else comparison.beyond))
        return
    lines = _listing(operations) if api or all_ else _summary(operations)
    show("\n".join(lines))
    if all_ and not api:
        show(
            "\n".join(
                ["", "beyond both", *(f"  {row.method:<6} {_without_names(row.path)}" for row in comparison.beyond)]
            )
        )
    elif not api:
        show(f"\nllambda has {len(comparison.beyond)} more of its own. One by one: --all, or --api NAME.")


def _select(operations: Sequence[ReferenceOperation], api: str | None) -> list[ReferenceOperation]:
    """Those of an API; all of them without one."""
    names = {op.api for op in operations}
    if api is not None and api not in names:
        raise click.BadParameter(f"there is no API `{api}`{did_you_mean(api, names)}", param_hint="'--api'")
    return [op for op in operations if api in (None, op.api)]


def _summary(operations: Sequence[ReferenceOperation]) -> Iterator[str]:
    names = dict.fromkeys(op.api for op in operations)
    groups = [(name, [op for op in operations if op.api == name]) for name in names]
    cells = [[name, *(_share(group, key) for key in GENERATIONS)] for name, group in [*groups, ("all", operations)]]
    return wrap_table([("API", *GENERATIONS.values()), *cells])


def _share(operations: Iterable[ReferenceOperation], generation: str) -> str:
    number, total = count(operations, generation)
    return f"{number} of {total}" if total else "-"


def _listing(operations: Iterable[ReferenceOperation]) -> Iterator[str]:
    """A line each, under the name of its API; the parameters of paths without their names, so that they fit."""
    yield "  ".join(f"{key:<4}" for key in GENERATIONS).rstrip()
    before, footnote = "", False
    for op in operations:
        if op.api != before:
            yield f"\n{op.api}"
        before, footnote = op.api, footnote or op.paths_differ
        marks = "*" * op.paths_differ + " (deprecated)" * op.deprecated
        yield f"{'  '.join(f'{status(op, key):<4}' for key in GENERATIONS)}  {op.method:<6} {_without_names(op.path)}{marks}"
    if footnote:
        yield f"\n{ELSEWHERE}"


def status(operation: ReferenceOperation, generation: str) -> str:
    """`yes`, `no`, or `-` where the generation does not have it."""
    place = operation.places.get(generation)
    return "-" if place is None else "yes" if place.is_served else "no"


def _document(operations: Sequence[ReferenceOperation], beyond: Iterable["RouteRow"]) -> dict[str, Any]:
    totals = {key: count(operations, key) for key in GENERATIONS}
    return {
        "generations": [
            {"generation": key, "name": name, "served": totals[key][0], "operations": totals[key][1]}
            for key, name in GENERATIONS.items()
        ],
        "operations": [_entry(op) for op in operations],
        "beyond": [{"api": row.api, "method": row.method, "path": row.path, "summary": row.summary} for row in beyond],
    }


def _entry(operation: ReferenceOperation) -> dict[str, Any]:
    places = {
        key: None if (place := operation.places.get(key)) is None else {"path": place.path, "served": place.is_served}
        for key in GENERATIONS
    }
    return {"api": operation.api, "method": operation.method, **places, "deprecated": operation.deprecated}
