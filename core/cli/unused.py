"""Options of the reference's command line that have no effect here: accepted with a note, so that its scripts run."""

from collections.abc import Callable, Mapping
import sys
from typing import Any

import click

from core.cli.options import Decorator


def _say(_: click.Context, option: click.Parameter, value: object) -> None:
    if value:
        print(f"note: {option.opts[0]} has no effect here", file=sys.stderr)


def unused_options(names: Mapping[str, str]) -> Decorator:
    """`names` are options, with what each takes (its metavar), "" for a flag."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for name, metavar in names.items():
            function = click.option(
                name, metavar=metavar or None, is_flag=not metavar, hidden=True, expose_value=False, callback=_say
            )(function)
        return function

    return decorate
