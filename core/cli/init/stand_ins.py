"""What is wrong with a run config whose variables are still to be set: they have values that stand in for theirs."""

from collections.abc import Iterator, Mapping
import re
from typing import Any, Final, cast

from core.cli.init.repairs import locate
from core.config.load import Loaded, interpret
from core.config.places import Value
from core.config.problems import Problem
from core.platform.environment import environ
from core.resolution.check import check

VARIABLE: Final = re.compile(r"\$\{env\.([A-Z0-9_]+)(?:\}|:?\+)")  # needed, or what switches something on
NEEDED: Final = re.compile(r"\$\{env\.([A-Z0-9_]+)\}")
WHATEVER: Final = re.compile(r"unknown key|no \w+ (?:provider|shield) |.* is already used by |.*\$\{env")
FORMS: Final = ("https://{name}.invalid", "{name}", "{number}")


def stand_in_variables(document: Value, forms: Mapping[str, int] | None = None) -> dict[str, str]:
    """The environment, and what is not set of the variables that are needed or switch something on, each its own."""
    names = dict.fromkeys(name for text in _texts(document) for name in VARIABLE.findall(text))
    stand_ins = {
        name: FORMS[(forms or {}).get(name, 0)].format(name=name.lower().replace("_", "-"), number=number)
        for number, name in enumerate(names, 1)
    }
    return stand_ins | {name: value for name, value in environ().items() if value}


def check_with_stand_ins(document: Mapping[str, Value]) -> list[Problem]:
    """What `llambda config validate` would say, but for values that only their variables can have."""
    forms: dict[str, int] = {}
    problems: list[Problem] = []
    for _ in FORMS:
        loaded = interpret(document, stand_in_variables(document, forms))
        problems = _problems(loaded)
        suspects = {name for problem in problems for name in _names_at(document, problem)} - environ().keys()
        if not suspects:
            break
        forms |= {name: min(forms.get(name, 0) + 1, len(FORMS) - 1) for name in suspects}
    return [problem for problem in problems if not _names_at(document, problem) - environ().keys()]


def _problems(loaded: Loaded) -> list[Problem]:
    return loaded.problems + check(loaded)


def _names_at(document: Value, problem: Problem) -> set[str]:
    """The variables of the value that has not the form of its field; none of what is wrong whatever they say."""
    position = locate(document, problem.path)
    text = position[0][cast("Any", position[1])] if position else None
    return set() if not isinstance(text, str) or WHATEVER.match(problem.message) else set(NEEDED.findall(text))


def _texts(value: Value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for part in cast("Any", value).values() if isinstance(value, Mapping) else cast("Any", value):
            yield from _texts(part)
