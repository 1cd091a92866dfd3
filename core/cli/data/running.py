"""What `llambda data` and `llambda principals` do, on the stores of a run config."""

import asyncio
from pathlib import Path
import sys
from typing import TYPE_CHECKING, Final

import click

from core.cli.options import print_json
from core.cli.terminal import clean, say

if TYPE_CHECKING:
    from core.cli.data.target import TargetOptions
    from core.resolution.erasure.engine import Amount, Key, Outcome
    from core.resolution.erasure.exporting import Report
    from core.services.erasure import Estate

NO_TERMINAL: Final = "What is deleted is gone for good, and there is no terminal to ask at: give --yes."


def show_data(principal: str, options: "TargetOptions", *, as_json: bool) -> None:
    from core.cli.data.output import amount_lines, to_json

    estate, amounts = asyncio.run(_count(principal, options))
    if as_json:
        print_json(to_json(estate, amounts))
    else:
        print("\n".join(amount_lines(estate, amounts)))


def delete(principal: str, options: "TargetOptions", *, keys: bool, wait: int, yes: bool, as_json: bool) -> None:
    """Asks first, unless `yes`; ends with 1 where something is left."""
    from core.cli.data.output import amount_lines, outcome_json, outcome_lines

    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(NO_TERMINAL)
        estate, amounts = asyncio.run(_count(principal, options))
        say("\n".join(amount_lines(estate, amounts)))
        _confirm(principal)
    estate, outcome = asyncio.run(_erase(principal, options, keys=keys, wait=wait))
    if as_json:
        print_json(outcome_json(estate, outcome))
    else:
        print("\n".join(outcome_lines(estate, outcome)))
    if not outcome.is_whole:
        raise click.exceptions.Exit(1)


def export(principal: str, options: "TargetOptions", *, output: Path, as_json: bool) -> None:
    """Ends with 1 where something could not be read."""
    from core.cli.data.output import report_lines

    estate, report = asyncio.run(_export(principal, options, output))
    if as_json:
        print_json(report.show(estate))
    else:
        print("\n".join(report_lines(estate, report, output)))
    if report.failures:
        raise click.exceptions.Exit(1)


def _confirm(principal: str) -> None:
    text: str = click.prompt(f"Type {clean(principal)} to delete all of it", default="", show_default=False, err=True)
    if text != principal:
        raise click.ClickException("That is another name: nothing was deleted.")


async def _count(principal: str, options: "TargetOptions") -> "tuple[Estate, dict[Key, Amount]]":
    from core.cli.data.output import Progress
    from core.cli.data.target import open_target
    from core.resolution.erasure.engine import count
    from core.resolution.erasure.sources import sources

    progress = Progress("counted")
    async with open_target(principal, options) as target:
        try:
            return target.estate, await count(sources(target.stack, keys=True), target.estate, progress.note)
        finally:
            progress.close()


async def _erase(principal: str, options: "TargetOptions", *, keys: bool, wait: int) -> "tuple[Estate, Outcome]":
    from core.cli.data.output import Progress
    from core.cli.data.target import open_target
    from core.resolution.erasure.engine import erase
    from core.resolution.erasure.sources import sources

    progress = Progress("deleted")
    async with open_target(principal, options) as target:
        try:
            walked = list(sources(target.stack, keys=keys))
            return target.estate, await erase(walked, target.estate, progress.note, wait=wait)
        finally:
            progress.close()


async def _export(principal: str, options: "TargetOptions", output: Path) -> "tuple[Estate, Report]":
    from core.cli.data.output import Progress
    from core.cli.data.sinks import open_sink, write_manifest
    from core.cli.data.target import open_target
    from core.resolution.erasure.exporting import MANIFEST, export
    from core.resolution.erasure.sources import sources
    from core.resolution.erasure.staying import records

    progress = Progress("exported")
    with open_sink(output) as sink:
        async with open_target(principal, options) as target:
            try:
                walked = [*sources(target.stack, keys=True), *records(target.stack)]
                report = await export(walked, target.estate, sink, progress.note)
            finally:
                progress.close()
        write_manifest(sink, MANIFEST, report.show(target.estate))
    return target.estate, report
