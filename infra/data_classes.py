"""Writes the methods of data classes into them, as far as `dataclasses` would: a package need not do it at every start.

Only classes whose making is plain from their source are rewritten: no bases, none of the rarer parameters, no method of their
own among those that are written. The rest are left to `dataclasses`.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
import inspect
import sys
from typing import Final

HELPERS: Final = "_data_classes"
"""The name of core.runtime.data_classes in a module that has data classes."""
PARAMETERS: Final = (
    "init",
    "repr",
    "eq",
    "order",
    "unsafe_hash",
    "frozen",
    "match_args",
    "kw_only",
    "slots",
    "weakref_slot",
)
DEFAULTS: Final = {"init": True, "repr": True, "eq": True, "match_args": True}
OURS: Final = frozenset({"frozen", "slots", "eq"})
OURS_OF_PACKAGES: Final = frozenset({"core", "functions"})
IMPORTED: Final = "from dataclasses import dataclass, field\n"
WRITTEN: Final = frozenset(
    [
        "__init__",
        "__repr__",
        "__eq__",
        "__hash__",
        "__setattr__",
        "__delattr__",
        "__getstate__",
        "__setstate__",
        "__replace__",
        "__slots__",
        "__match_args__",
        "__dataclass_fields__",
        "__dataclass_params__",
    ]
)
NOT_FIELDS: Final = frozenset({"ClassVar", "InitVar", "KW_ONLY"})
OF_FIELD: Final = frozenset({"default", "default_factory", "compare", "repr"})

type Stated = dict[str, ast.expr]


class _NotPlain(Exception):
    """The class is left to `dataclasses`."""


@dataclass(frozen=True, slots=True)
class _Field:
    """`stated` are the keywords of its `field(...)`, None where there is no such."""

    name: str
    default: ast.expr | None
    stated: Stated | None

    @property
    def factory(self) -> ast.expr | None:
        return None if self.stated is None else self.stated.get("default_factory")

    @property
    def is_compared(self) -> bool:
        stated = self.stated or {}
        return "compare" not in stated or bool(_constant(stated["compare"]))


def write_methods(tree: ast.Module) -> ast.Module:
    """The same module, changed in place."""
    if not _imports_plainly(tree):
        return tree
    body: list[ast.stmt] = []
    has_any = False
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and (parameters := _parameters(node)) is not None:
            try:
                before = _rewrite(node, parameters)
            except _NotPlain:
                before = None
            if before is not None:
                has_any = True
                body += before
        body.append(node)
    if has_any:
        place = _first_import(body)
        body.insert(place, _located(f"from core.runtime import data_classes as {HELPERS}", body[place])[0])
    tree.body = body
    return tree


def is_written(of: type | None) -> bool:
    """Whether a package has the methods of this data class in its byte code."""
    if of is None or of.__module__.partition(".")[0] not in OURS_OF_PACKAGES or "." in of.__qualname__:
        return False
    module = vars(sys.modules[of.__module__])
    if module.get("dataclass") is not dataclass or "annotations" in module:
        return False
    tree = write_methods(ast.parse(IMPORTED + inspect.getsource(of)))
    node = tree.body[-1]
    return isinstance(node, ast.ClassDef) and not node.decorator_list


def _imports_plainly(tree: ast.Module) -> bool:
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in imports if node.module == "dataclasses" for alias in node.names if not alias.asname}
    return "dataclass" in names and all(node.module != "__future__" for node in imports)


def _first_import(body: list[ast.stmt]) -> int:
    return next(place for place, node in enumerate(body) if isinstance(node, ast.Import | ast.ImportFrom))


def _parameters(node: ast.ClassDef) -> dict[str, bool] | None:
    """Those that its decorator gives; None where it is no data class, or not of a kind that is rewritten."""
    if len(node.decorator_list) != 1 or node.bases or node.keywords:
        return None
    decorator = node.decorator_list[0]
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    if not (isinstance(called, ast.Name) and called.id == "dataclass"):
        return None
    keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
    if any(keyword.arg not in OURS or not isinstance(keyword.value, ast.Constant) for keyword in keywords):
        return None
    return {str(keyword.arg): bool(_constant(keyword.value)) for keyword in keywords}


def _rewrite(node: ast.ClassDef, parameters: dict[str, bool]) -> list[ast.stmt]:
    """Change the class in place; what has to come before it."""
    fields = list(_fields(node))
    names = [entry.name for entry in fields]
    if (
        "self" in names
        or WRITTEN & set(_names_in(node))
        or (node.type_params and any(entry.factory for entry in fields))
    ):
        raise _NotPlain
    frozen, slots = parameters.get("frozen", False), parameters.get("slots", False)
    prefix = f"{HELPERS}_{node.name}_"
    before = [f"{prefix}{entry.name} = {ast.unparse(entry.factory)}" for entry in fields if entry.factory is not None]
    methods = [_init(node, fields, prefix, is_frozen=frozen)]
    if parameters.get("eq", True):
        methods += _comparison([entry.name for entry in fields if entry.is_compared], is_frozen=frozen)
    methods += _shared(frozen=frozen, slots=slots)
    methods.append(f"__match_args__ = {tuple(names)!r}")
    if slots:
        methods.append(f"__slots__ = {tuple(names)!r}")
    methods.append(f"__dataclass_params__ = {HELPERS}.Parameters({_all_parameters(parameters)})")
    own = ", ".join(f"{entry.name}={_field_call(entry, prefix)}" for entry in fields if entry.stated is not None)
    methods.append(f"__dataclass_fields__ = {HELPERS}.LateFields({own})")
    _strip_defaults(node, {entry.name: entry for entry in fields}, has_slots=slots)
    node.decorator_list = []
    node.body += _located("\n".join(methods), node)
    return _located("\n".join(before), node)


def _fields(node: ast.ClassDef) -> Iterator[_Field]:
    seen: set[str] = set()
    for statement in node.body:
        if not isinstance(statement, ast.AnnAssign):
            continue
        target = statement.target
        if not isinstance(target, ast.Name) or _is_special(statement.annotation):
            raise _NotPlain
        value, stated = statement.value, None
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "field":
            stated = {str(keyword.arg): keyword.value for keyword in value.keywords}
            if value.args or not stated.keys() <= OF_FIELD:
                raise _NotPlain
            value = stated.get("default")
            if any(
                name in stated and not isinstance(stated[name], ast.Constant) for name in ("compare", "repr", "default")
            ):
                raise _NotPlain
        if any(
            isinstance(part, ast.Name) and part.id in seen
            for part in ast.walk(statement.value or target)
            if part is not target
        ):
            raise _NotPlain  # it is made of another field's default
        seen.add(target.id)
        yield _Field(target.id, value, stated)


def _is_special(annotation: ast.expr) -> bool:
    if isinstance(annotation, ast.Constant):
        # `dataclasses` looks at how the text of an annotation begins.
        return not isinstance(annotation.value, str) or any(name in annotation.value for name in NOT_FIELDS)
    return any(
        isinstance(part, ast.Name | ast.Attribute) and _last(part) in NOT_FIELDS for part in ast.walk(annotation)
    )


def _last(part: ast.Name | ast.Attribute) -> str:
    return part.id if isinstance(part, ast.Name) else part.attr


def _names_in(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
        elif isinstance(statement, ast.Assign):
            yield from (target.id for target in statement.targets if isinstance(target, ast.Name))


def _init(node: ast.ClassDef, fields: list[_Field], prefix: str, *, is_frozen: bool) -> str:
    arguments, lines = ["self"], []
    for entry in fields:
        value = entry.name
        if entry.factory is not None:
            arguments.append(f"{entry.name}={HELPERS}.MISSING")
            value = f"{prefix}{entry.name}() if {entry.name} is {HELPERS}.MISSING else {entry.name}"
        else:
            arguments.append(entry.name if entry.default is None else f"{entry.name}={ast.unparse(entry.default)}")
        lines.append(
            f"{HELPERS}.set_field(self, {entry.name!r}, {value})" if is_frozen else f"self.{entry.name} = {value}"
        )
    if "__post_init__" in _names_in(node):
        lines.append("self.__post_init__()")
    return f"def __init__({', '.join(arguments)}):\n " + "\n ".join(lines or ["pass"])


def _comparison(names: list[str], *, is_frozen: bool) -> list[str]:
    same = " and ".join(f"self.{name} == other.{name}" for name in names) or "True"
    equal = (
        "def __eq__(self, other):\n if self is other:\n  return True\n if other.__class__ is self.__class__:\n"
        f"  return {same}\n return NotImplemented"
    )
    values = "".join(f"self.{name}, " for name in names)
    return [equal, f"def __hash__(self):\n return hash(({values}))"] if is_frozen else [equal]


def _shared(*, frozen: bool, slots: bool) -> list[str]:
    lines = [f"__repr__ = {HELPERS}.show", f"__replace__ = {HELPERS}.replace"]
    if frozen:
        lines += [f"__setattr__ = {HELPERS}.refuse_to_set", f"__delattr__ = {HELPERS}.refuse_to_delete"]
    if frozen and slots:
        lines += [f"__getstate__ = {HELPERS}.state_of", f"__setstate__ = {HELPERS}.set_state"]
    return lines


def _all_parameters(parameters: dict[str, bool]) -> str:
    return ", ".join(str(parameters.get(name, DEFAULTS.get(name, False))) for name in PARAMETERS)


def _field_call(entry: _Field, prefix: str) -> str:
    stated = dict(entry.stated or {})
    parts = [f"{name}={ast.unparse(value)}" for name, value in stated.items() if name != "default_factory"]
    if "default_factory" in stated:
        parts.append(f"default_factory={prefix}{entry.name}")
    return f"{HELPERS}.field({', '.join(parts)})"


def _strip_defaults(node: ast.ClassDef, fields: dict[str, _Field], *, has_slots: bool) -> None:
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            statement.value = None if has_slots else fields[statement.target.id].default


def _located(source: str, near: ast.stmt) -> list[ast.stmt]:
    statements = ast.parse(source).body
    for statement in statements:
        for part in ast.walk(statement):
            if isinstance(part, ast.expr | ast.stmt | ast.arg | ast.keyword | ast.alias):
                ast.copy_location(part, near)
    return statements


def _constant(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else None
