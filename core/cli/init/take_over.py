"""A run config of Llama Stack, less what this build does not serve."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.cli.init.pruning import Pruning
from core.cli.init.secrets import move_secrets
from core.config.load import interpret
from core.config.places import Places, Value
from core.config.problems import ConfigInvalid, Problem
from core.config.source import read
from core.config.substitution import substitute
from core.platform.environment import environ
from core.resolution.check import available, check

HEAD: Final = "# Written by `llambda init --from`: what llambda serves of {source}. Left out or changed:\n"


@dataclass(frozen=True, slots=True)
class Conversion:
    """The text of the new run config, and a line for each thing that was left out or changed."""

    text: str
    notes: list[str]


def take_over(source: Path) -> Conversion:
    """Convert a run config to what this build serves of it, which is valid once its variables are set.

    Raises:
        ConfigInvalid: it cannot be read, nothing of it is served here, or what remains has mistakes of its own.
    """
    import yaml

    raw, unread = read(source)
    if raw is None or unread:
        raise ConfigInvalid(str(source), unread)
    try:
        document, notes = _convert(raw, str(source))
    except RecursionError as deep:
        raise ConfigInvalid(str(source), [Problem("", "the document is nested too deeply")]) from deep
    head = HEAD.format(source=_line(source.name)) + "".join(f"#   {note}\n" for note in notes)
    return Conversion(head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120), notes)


def _convert(raw: Mapping[str, Value], source: str) -> tuple[dict[str, Value], list[str]]:
    pruning = Pruning(raw, _not_here(raw))
    document = pruning.document()
    if not pruning.has_models:
        reasons = [problem for problem in pruning.left_out if problem.path.startswith("providers.inference")]
        nothing = Problem(
            "providers.inference", "this build serves none of the providers, and without one there is nothing to serve"
        )
        raise ConfigInvalid(source, [*reasons, nothing])
    places = Places(pruning.origins)
    mistakes = [Problem(places.source_path(problem.path), problem.message) for problem in _problems(document)]
    if mistakes:
        raise ConfigInvalid(source, mistakes)
    document, moved = move_secrets(document, places)
    return document, [_line(str(note)) for note in (*pruning.left_out, *moved)]


def _line(text: str) -> str:
    """As one line that a comment and a terminal can have: names in a run config may be anything."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))


def _not_here(raw: Mapping[str, Value]) -> dict[str, str]:
    """What `llambda config validate` says of APIs and provider types that this build does not have, by path."""
    loaded = interpret(raw, environ())
    specs = available(loaded.external_providers_dir)[0]
    unknown = {
        f"{loaded.places.source_path(path)}.provider_type"
        for api, path, entry in loaded.provider_entries()
        if entry.module is None and (api, entry.provider_type) not in specs
    }
    problems = {problem.path: problem.message for problem in check(loaded)}
    return {path: message for path, message in problems.items() if path in unknown or path.startswith("apis[")}


def _problems(document: Mapping[str, Value]) -> list[Problem]:
    """What `llambda config validate` would say, but for variables that are not set yet."""
    variables = environ()
    unset = set(substitute(document, variables)[1])
    loaded = interpret(document, variables)
    return [problem for problem in loaded.problems + check(loaded) if problem not in unset]
