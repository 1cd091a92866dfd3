"""`${env.NAME}` in a run config, in the older and the newer syntax of the reference.

| form                                 | NAME is set | NAME is unset or empty |
|--------------------------------------|-------------|------------------------|
| `${env.NAME}`                        | its value   | a problem              |
| `${env.NAME:=d}`, older `${env.NAME:d}` | its value | d                      |
| `${env.NAME:+v}`                     | v           | null                   |
| older `${env.NAME+v}`                | v           | empty text             |

`:=` and `:+` are looked for first, so a default of the older form cannot begin with `=` or `+`.
A whole value that `:=` or `:+` leaves empty is null. `~` and `~/` at the start of what is put in become the home directory.

A value in which something was substituted is converted as a whole: true and false in any case, integers of up to
18 digits, and decimals with digits on both sides of the point. Everything else stays text: "007", "+7", "1e5",
"nan", "inf", "1_000", ".5". What the environment said is kept in `texts`, so that a field of type text can have "1.10" back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import re
from typing import Any, Final, cast

from core.config.places import Value, join
from core.config.problems import Problem
from core.config.sections import SECTIONS
from core.platform.environment import expand_home

EXPRESSION: Final = re.compile(r"\$\{env\.([^}]*)(\}?)")
FORM: Final = re.compile(r"([A-Z0-9_]+)(?:(:=|:\+|:|\+)(.*))?", re.DOTALL)
INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,17}")
DISABLED: Final = ("", None, "__disabled__")


@dataclass(slots=True)
class Expansion:
    """A document being expanded; `problems`, `texts` and the values of `origins` are paths as written."""

    environ: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list[Problem])
    texts: dict[str, str] = field(default_factory=dict[str, str])
    origins: dict[str, str] = field(default_factory=dict[str, str])

    def value(self, value: Value, path: str = "") -> Value:
        """A copy with every expression in it replaced; entries that are switched off are left out."""
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, Mapping):
            items = cast("Mapping[str, Any]", value).items()
            return {key: self.value(item, join(path, key)) for key, item in items}
        if isinstance(value, list):
            return self._list(cast("Sequence[Value]", value), path)
        return value

    def _list(self, entries: Sequence[Value], path: str) -> list[Any]:
        switches = _switches(path)
        result: list[Any] = []
        for index, entry in enumerate(entries):
            place = join(path, index)
            if switches and isinstance(entry, Mapping):
                expanded = self._entry(cast("Mapping[str, Any]", entry), switches, place)
                if expanded is None:
                    continue
            else:
                expanded = self.value(entry, place)
            if len(result) != index:
                self.origins[join(path, len(result))] = place
            result.append(expanded)
        return result

    def _entry(self, entry: Mapping[str, Any], switches: tuple[str, ...], path: str) -> dict[str, Any] | None:
        """The entry, or None if one of its ids switches it off: then nothing else in it is looked at."""
        before = len(self.problems)
        ids: dict[str, Any] = {}
        for key in switches:
            text = entry.get(key)
            if isinstance(text, str):
                ids[key] = self._text(text, join(path, key))
                if ids[key] in DISABLED:
                    del self.problems[before:]
                    return None
        return {key: ids[key] if key in ids else self.value(item, join(path, key)) for key, item in entry.items()}

    def _text(self, text: str, path: str) -> str | float | None:
        if "${env." not in text:
            return text
        failures: list[str] = []
        nullable = False

        def put(match: re.Match[str]) -> str:
            nonlocal nullable
            form = FORM.fullmatch(match[1])
            if not match[2] or form is None:
                failures.append(_explain(match))
                return ""
            nullable = nullable or form[2] in {":=", ":+"}
            return self._variable(form, failures)

        result = EXPRESSION.sub(put, text)
        if failures:
            self.problems.append(Problem(path, "; ".join(dict.fromkeys(failures))))
            return text
        return None if nullable and not result else self._convert(result, path)

    def _variable(self, form: re.Match[str], failures: list[str]) -> str:
        name, operator, operand = form[1], form[2], form[3] or ""
        value = self.environ.get(name, "")
        if operator in {":+", "+"}:
            return expand_home(operand, self.environ) if value else ""
        if operator is None and not value:
            state = "is empty" if name in self.environ else "is not set"
            failures.append(f"environment variable {name} {state}; set it or write ${{env.{name}:=default}}")
        return expand_home(value or operand, self.environ)

    def _convert(self, text: str, path: str) -> str | float:
        value: str | float = text
        if text.lower() in {"true", "false"}:
            value = text.lower() == "true"
        elif INTEGER.fullmatch(text):
            value = int(text)
        elif DECIMAL.fullmatch(text):
            value = float(text)
        if value is not text:
            self.texts[path] = text
        return value


def _switches(path: str) -> tuple[str, ...]:
    """The keys that switch off an entry of the list at this path, if they come out empty."""
    parent, _, name = path.rpartition(".")
    if parent == "providers":
        return ("provider_id",)
    if parent in {"", "registered_resources"} and name in SECTIONS:
        return (SECTIONS[name].id_field, "provider_id")
    return ()


def _explain(match: re.Match[str]) -> str:
    """Say what is wrong without repeating a default, which may be a secret."""
    if not match[2]:
        return "`${env.` is not closed by `}`"
    name = re.split(r"[^A-Za-z0-9_]", match[1], maxsplit=1)[0]
    if name and name != name.upper():
        return f"`{name}` is not a variable name here: names are upper case (A-Z, 0-9, _)"
    return "`${env.…}` is not understood; write ${env.NAME}, ${env.NAME:=default} or ${env.NAME:+value}"


def substitute(document: Value, environ: Mapping[str, str]) -> tuple[Value, list[Problem]]:
    """A copy of the document with the environment in it, and every expression that could not be expanded."""
    expansion = Expansion(environ)
    return expansion.value(document), expansion.problems
