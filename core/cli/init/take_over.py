"""A run config of Llama Stack, less what this build does not serve."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from core.cli.init.generations import modernise
from core.cli.init.pruning import Pruning, bare
from core.cli.init.repairs import Repair
from core.cli.init.secrets import move_secrets
from core.cli.init.stand_ins import check_with_stand_ins, stand_in_variables
from core.config.load import interpret
from core.config.places import Places, Value, to_list, to_mapping
from core.config.problems import ConfigInvalid, Problem
from core.config.sections import SECTIONS
from core.config.source import read
from core.resolution.check import available, check, notices

NO_TYPE: Final = "provider type `{}` is not in this build"
NOTHING: Final = "this build serves none of the providers, and without one there is nothing to serve"
HEAD: Final = "# Written by `llambda init --from`: what llambda serves of {source}. Left out or changed:\n"


@dataclass(frozen=True, slots=True)
class Conversion:
    """The new run config, as text too, and a line for each thing that was left out or changed.

    `foreign`: some of that is Llama Stack's, and not merely a mistake.
    """

    text: str
    notes: list[str]
    document: Mapping[str, Value] = field(repr=False)
    foreign: bool

    def summary(self) -> list[str]:
        """What is served of the file: its providers by name, and how many resources."""
        document = to_mapping(self.document)
        lines = [
            f"{api}: {', '.join(_line(bare(to_mapping(entry).get('provider_id'))) for entry in to_list(entries))}"
            for api, entries in to_mapping(document.get("providers")).items()
        ]
        holders = (document, to_mapping(document.get("registered_resources")))
        counts = {name: sum(len(to_list(holder.get(name))) for holder in holders) for name in SECTIONS}
        return lines + [f"{name}: {count}" for name, count in counts.items() if count]


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
        document, left_out, changed = _convert(raw, source)
    except RecursionError as deep:
        raise ConfigInvalid(str(source), [Problem("", "the document is nested too deeply")]) from deep
    notes = [_line(str(note)) for note in (*left_out, *changed)]
    head = HEAD.format(source=_line(source.name)) + "".join(f"#   {note}\n" for note in notes)
    text = head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return Conversion(text, notes, document, foreign=bool(left_out))


def _convert(raw: Mapping[str, Value], source: Path) -> tuple[dict[str, Value], list[Problem], list[Problem]]:
    """The new document, and what was known to be otherwise there, and what else was changed."""
    modern, changes = modernise(_copy(raw), source.stem)
    pruning = Pruning(modern, _not_here(modern))
    document = pruning.document()
    repair = Repair(document, pruning.origins, check_with_stand_ins)
    mistakes = repair.run() if pruning.has_models else []
    left_out = [*changes, *pruning.left_out]
    if not pruning.has_models or not document.get("providers", {}).get("inference"):
        reasons = [problem for problem in left_out if problem.path.startswith("providers.inference")]
        raise ConfigInvalid(str(source), [*reasons, Problem("providers.inference", NOTHING)])
    if mistakes:
        raise ConfigInvalid(str(source), mistakes)
    document, moved = move_secrets(document, Places(pruning.origins))
    return document, left_out, [*repair.notes, *moved]


def _copy(value: Value) -> Value:
    """Without what the file's aliases share: a part that is changed is changed in one place."""
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in to_mapping(value).items()}
    return [_copy(item) for item in to_list(value)] if isinstance(value, list) else value


def _line(text: str) -> str:
    """As one line that a comment and a terminal can have: names in a run config may be anything."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))


def _not_here(raw: Mapping[str, Value]) -> dict[str, str]:
    """Why `llambda config validate` would refuse APIs and provider types that this build does not have, by path."""
    loaded = interpret(raw, stand_in_variables(raw))
    specs = available(loaded.external_providers_dir)[0]
    reasons = {
        f"{loaded.places.source_path(path)}.provider_type": NO_TYPE.format(entry.provider_type)
        for api, path, entry in loaded.provider_entries()
        if entry.module is None and (api, entry.provider_type) not in specs
    }
    problems = {problem.path: problem.message for problem in [*check(loaded), *notices(loaded)]}
    advice = {path: problems[path] for path in reasons if "; use " in problems.get(path, "")}
    return (
        reasons
        | advice
        | {path: text for path, text in problems.items() if path.startswith("apis[") and text.startswith("API ")}
    )
