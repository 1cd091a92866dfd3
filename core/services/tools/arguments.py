"""Whether arguments fit a tool's schema: a bounded part of JSON Schema, which runs and fetches nothing that a stranger wrote.

What is not known here passes, for the tool itself to judge: `pattern` and `format`, `not`, `if`, references to other documents.
Source: https://json-schema.org/draft/2020-12/json-schema-validation.
"""

from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any, Final, NamedTuple, cast

from pydantic_core import to_json

from core.errors import InvalidRequest, shorten
from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object, to_object

MOST_BYTES: Final = 1_048_576  # of arguments as JSON
MOST_STEPS: Final = 20_000  # schemas that are held against values; what comes after passes
MOST_DEPTH: Final = 64  # of schemas in each other; what lies deeper passes
MOST_NAMED: Final = 20  # names in a message
MOST_FAULT: Final = 2000  # bytes of what is wrong, in a message
STEP_NAMES: Final = 8  # required names that are a step
STEP_BYTES: Final = 64  # of JSON of an object or a list that is compared, which are a step
MOST_QUOTED: Final = 100  # characters of a name, or of a value, in a message
ROOT: Final = "arguments"  # the path of the whole
COUNTS: Final = (
    ("minLength", "maxLength", str, "characters"),
    ("minItems", "maxItems", list, "entries"),
    ("minProperties", "maxProperties", dict, "names"),
)


class Misfit(NamedTuple):
    """What does not fit, by its path below the arguments, and what it must be."""

    path: str
    fault: str


def check_arguments(tool: str, schema: object, arguments: JsonObject) -> None:
    """Raise InvalidRequest for arguments that do not fit, or are too many bytes; the message names the path and the tool."""
    check_size(tool, arguments)
    misfit = _Walk(schema).find(schema, arguments, "", 0)
    if misfit is None:
        return
    path = f"{ROOT}.{misfit.path}" if misfit.path else ROOT
    subject = f"argument `{misfit.path}`" if misfit.path else "arguments"
    raise InvalidRequest(f"The {subject} of tool `{tool}` {shorten(misfit.fault, MOST_FAULT)}.", param=path)


def check_size(tool: str, arguments: JsonObject) -> None:
    """Raise InvalidRequest for arguments of too many bytes, or that are no JSON."""
    try:
        size = len(to_json(arguments))
    except ValueError:
        raise InvalidRequest(f"The arguments of tool `{tool}` are no JSON.", param=ROOT) from None
    if size > MOST_BYTES:
        message = f"The arguments of tool `{tool}` have {size:,} bytes as JSON, and may have {MOST_BYTES:,}."
        raise InvalidRequest(message, param=ROOT)


class _Walk:
    """One look at a value, of which the steps are counted; `root` is what `#/...` refers into."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._steps = 0

    def find(self, schema: object, value: object, path: str, depth: int) -> Misfit | None:
        """The first misfit of `value`, which is at `path`."""
        self._steps += 1
        if self._steps > MOST_STEPS or depth > MOST_DEPTH:
            return None
        if schema is False:
            return Misfit(path, "must not be there")
        if not is_object(schema):
            return None
        fault = _type_fault(schema, value) or self._choice_fault(schema, value) or _bound_fault(schema, value)
        if fault:
            return Misfit(path, fault)
        return self._in_parts(schema, value, path, depth + 1) or self._in_forms(schema, value, path, depth + 1)

    def _choice_fault(self, schema: JsonObject, value: object) -> str:
        choices = [schema["const"]] if "const" in schema else schema.get("enum")
        if not is_list(choices):
            return ""
        self._steps += len(choices)
        if is_object(value) or is_list(value):  # nothing else takes long to compare
            self._steps += len(choices) * (len(to_json(value, inf_nan_mode="constants")) // STEP_BYTES)
            if self._steps > MOST_STEPS:
                return ""
        return "" if any(_same(choice, value) for choice in choices) else f"must be {_either(map(_quote, choices))}"

    def _in_parts(self, schema: JsonObject, value: object, path: str, depth: int) -> Misfit | None:
        if is_object(value):
            return self._in_object(schema, value, path, depth)
        if not is_list(value):
            return None
        first = schema.get("prefixItems")
        firsts: Sequence[Any] = first if is_list(first) else ()
        for index, entry in enumerate(value):
            if self._steps > MOST_STEPS:
                return None
            part = firsts[index] if index < len(firsts) else schema.get("items")
            if (misfit := self.find(part, entry, f"{path}[{index}]", depth)) is not None:
                return misfit
        return None

    def _in_object(self, schema: JsonObject, value: JsonObject, path: str, depth: int) -> Misfit | None:
        own: JsonObject = to_object(schema.get("properties"))
        required = schema.get("required")
        names: Sequence[Any] = required if is_list(required) else ()
        self._steps += len(names) // STEP_NAMES
        for name in names:
            if isinstance(name, str) and name not in value:
                return Misfit(_join(path, name), f"is required{_wanted(own.get(name))}")
        others = True if "patternProperties" in schema else schema.get("additionalProperties", True)
        for name, entry in value.items():
            if name not in own and others is False:
                takes = f"there are {_either(map(_code, own), 'and')}" if own else "there are none"
                return Misfit(_join(path, name), f"is not known: {takes}")
            if (misfit := self.find(own.get(name, others), entry, _join(path, name), depth)) is not None:
                return misfit
        return None

    def _in_forms(self, schema: JsonObject, value: object, path: str, depth: int) -> Misfit | None:
        reference, every = schema.get("$ref"), schema.get("allOf")
        referred = [self._resolve(reference)] if isinstance(reference, str) else []
        for form in (*referred, *(every if is_list(every) else ())):
            if (misfit := self.find(form, value, path, depth)) is not None:
                return misfit
        for name in ("anyOf", "oneOf"):
            forms = schema.get(name)
            misfits = self._misfits(forms, value, path, depth) if is_list(forms) else []
            if misfits:
                return _nearest(misfits, path)
        return None

    def _misfits(self, forms: Sequence[object], value: object, path: str, depth: int) -> list[Misfit]:
        """One of each form; none where any fits."""
        misfits = list[Misfit]()
        for form in forms:
            misfit = self.find(form, value, path, depth)
            if misfit is None:
                return []
            misfits.append(misfit)
        return misfits

    def _resolve(self, reference: str) -> object:
        """What `#/$defs/name` refers to in the same schema; True, which everything fits, for what is elsewhere."""
        if not reference.startswith("#"):
            return True
        place: object = self._root
        for part in reference.removeprefix("#").split("/")[1 : MOST_DEPTH + 1]:
            key = part.replace("~1", "/").replace("~0", "~")
            place = place.get(key, True) if is_object(place) else True
        return place


def _nearest(misfits: Sequence[Misfit], path: str) -> Misfit:
    """Of several forms, what is wrong with the one that fits best: the one whose misfit lies deepest, or what all want."""
    deepest = max(misfits, key=lambda misfit: len(misfit.path))
    if deepest.path != path:
        return deepest
    faults = list(dict.fromkeys(misfit.fault for misfit in misfits))
    return Misfit(path, faults[0] if len(faults) == 1 else " or ".join(faults[:MOST_NAMED]))


def _type_fault(schema: JsonObject, value: object) -> str:
    types = schema.get("type")
    names: list[Any] = [types] if isinstance(types, str) else types if is_list(types) else []
    if not names or any(not isinstance(name, str) or name not in TYPES or _is_of(name, value) for name in names):
        return ""
    return f"must be {_either([TYPES[name] for name in names])}, not {_kind(value)}"


TYPES: Final[Mapping[str, str]] = {
    "string": "a string",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


def _is_of(name: str, value: object) -> bool:
    if name == "integer":
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return whole and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return _name_of(value) == name


def _name_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case int() | float():
            return "number"
        case list():
            return "array"
        case _:
            return "object"


def _kind(value: object) -> str:
    return "true" if value is True else "false" if value is False else TYPES[_name_of(value)]


def _bound_fault(schema: JsonObject, value: object) -> str:
    for least, most, kind, noun in COUNTS:
        if isinstance(value, kind):
            count = len(cast("Sized", value))
            return _range_fault(count, schema.get(least), schema.get(most), f"have {{}} {noun}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if isinstance(above, int | float) and value <= above:
        return f"must be more than {above}"
    if isinstance(below, int | float) and value >= below:
        return f"must be less than {below}"
    return _range_fault(value, schema.get("minimum"), schema.get("maximum"), "be {}")


def _range_fault(number: float, least: Any, most: Any, text: str) -> str:  # noqa: ANN401 - of a stranger's schema
    if _is_of("number", least) and number < least:
        return f"must {text.format(f'at least {least}')}"
    if _is_of("number", most) and number > most:
        return f"must {text.format(f'at most {most}')}"
    return ""


def _same(one: object, other: object) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _wanted(schema: object) -> str:
    types = schema.get("type") if is_object(schema) else None
    return f": {TYPES[types]}" if isinstance(types, str) and types in TYPES else ""


def _join(path: str, name: str) -> str:
    short = name[:MOST_QUOTED]
    return f"{path}.{short}" if path else short


def _code(name: object) -> str:
    return f"`{str(name)[:MOST_QUOTED]}`"


def _quote(value: object) -> str:
    return to_json(value, inf_nan_mode="constants").decode(errors="replace")[:MOST_QUOTED]


def _either(texts: Iterable[str], word: str = "or") -> str:
    names = list(texts)
    first, rest = names[:MOST_NAMED], len(names) - MOST_NAMED
    if rest > 0:
        return f"{', '.join(first)} {word} one of {rest} more"
    return f" {word} ".join(filter(None, (", ".join(first[:-1]), first[-1] if first else "")))
