"""The data classes that a package has, as infra/data_classes.py writes them, are those that `dataclasses` makes."""

import ast
import copy
import dataclasses
from importlib import import_module
import inspect
from pathlib import Path
import pickle
import sys
from types import ModuleType
from typing import Any, cast

import pytest

from infra.data_classes import write_methods
from infra.lean import drop_annotations

ROOT = Path(__file__).resolve().parents[3]
MODULES = [
    file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for file in sorted((ROOT / "core").rglob("*.py"))
    if "@dataclass" in file.read_text("utf-8")
]
HELPER = "from dataclasses import dataclass, field\n"


def rewritten(source: str, name: str, file: str = "") -> dict[str, Any]:
    """The names of the module as a package has it."""
    module = ModuleType(name)
    module.__file__ = file
    sys.modules[name] = module
    try:
        tree = drop_annotations(write_methods(ast.parse(source)))
        exec(compile(ast.fix_missing_locations(tree), name, "exec", dont_inherit=True), vars(module))  # noqa: S102 - ours
    finally:
        del sys.modules[name]
    return vars(module)


def pairs(module: str) -> list[tuple[type[Any], type[Any]]]:
    """Each data class of a module beside the one of a package, where that was written."""
    own = vars(import_module(module))
    names = rewritten(inspect.getsource(sys.modules[module]), f"{module}__package", str(sys.modules[module].__file__))
    found = [(one, names[name]) for name, one in own.items() if isinstance(one, type) and one.__module__ == module]
    return [(one, other) for one, other in found if "show" in getattr(other.__repr__, "__qualname__", "")]


def value(of: object) -> str:
    """As text, which is the same for what was made twice."""
    if isinstance(of, frozenset):
        return str(sorted(cast("frozenset[str]", of)))
    return type(of).__name__ if type(of).__module__ != "builtins" or callable(of) else repr(of)


def described(of: type[Any]) -> dict[str, Any]:
    """What can be told of a data class without an instance."""
    fields = dataclasses.fields(of)
    return {
        "fields": [(each.name, each.repr, each.compare, each.init, each.hash, each.kw_only) for each in fields],
        "annotations": list(of.__annotations__),
        "defaults": [(value(each.default), value(each.default_factory)) for each in fields],
        "signature": [(each.name, each.kind, each.default is each.empty) for each in inspect.signature(of).parameters.values()],
        "match": of.__match_args__,
        "slots": getattr(of, "__slots__", None),
        "parameters": repr(vars(of)["__dataclass_params__"]),
        "has hash": of.__hash__ is not None,
        "names": {name for name in vars(of) if name not in ("__dict__", "__weakref__", "__firstlineno__", "__static_attributes__", "__doc__")},
    }  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_a_class_of_a_package_says_of_itself_what_the_class_does(module: str) -> None:
    for one, other in pairs(module):
        assert described(other) == described(one)


def test_most_classes_are_written() -> None:
    """Else a cold start pays for them again, and nothing tells."""
    count = sum(
        isinstance(node, ast.ClassDef) and not node.decorator_list and "__dataclass_fields__" in ast.unparse(node)
        for module in MODULES
        for node in write_methods(ast.parse(Path(ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8"))).body
    )
    assert count > 400


SHAPES = """
@dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    size: float = 1.5
    more: dict[str, int] = field(default_factory=dict, compare=False)
    secret: str = field(default="", repr=False)

    def __post_init__(self):
        if self.size < 0:
            raise ValueError(self.size)


@dataclass(slots=True)
class Open:
    "It has a docstring."
    name: str
    items: list[int] = field(default_factory=list)


@dataclass
class Loose:
    name: str = "loose"
    size: int = field(default=3)


@dataclass(frozen=True)
class Bare:
    pass


@dataclass(slots=True, eq=False)
class Same:
    name: str


@dataclass(frozen=True, slots=True)
class Box[Item]:
    item: Item


class Heir(Frozen):
    colour = "red"
"""
VALUES = {"Frozen": ("a", 2.0, {"b": 1}, "s"), "Open": ("a", [1]), "Loose": ("a", 2), "Bare": (), "Same": ("a",), "Box": (1,), "Heir": ("a",)}  # fmt: skip


def outcome(make: Any) -> object:
    try:
        return repr(make())
    except Exception as failure:  # noqa: BLE001 - it is compared
        return type(failure), str(failure)


def behaviour(names: dict[str, Any], name: str) -> list[object]:
    of, values = names[name], VALUES[name]
    one, same, first = of(*values), of(*values), next(iter(getattr(of, "__match_args__", ())), "nothing")
    return [
        repr(one).replace("__package", ""),
        one == same,
        one == copy.copy(one),
        one == object(),
        outcome(lambda: hash(one) == hash(same)),
        outcome(lambda: len({one, same})),
        outcome(lambda: setattr(one, first, "b")),
        outcome(lambda: setattr(one, "unknown", "b"))
        if name in ("Open", "Loose", "Bare", "Same")
        else "stdlib's words are wrong",
        outcome(lambda: delattr(one, first)),
        outcome(lambda: dataclasses.asdict(same)),
        outcome(lambda: dataclasses.replace(same, **{first: "c"})),
        outcome(lambda: copy.replace(same)),
        outcome(lambda: of(*values, 1, 2, 3, 4)).__class__,
        outcome(lambda: of(size=-1, name="x")),
        outcome(lambda: vars(one)),
        outcome(lambda: copy.deepcopy(same)),
        "It has" in (of.__doc__ or ""),
    ]


@pytest.mark.parametrize("name", VALUES)
def test_an_object_of_a_package_does_what_the_object_does(name: str) -> None:
    made: dict[str, Any] = {"__name__": "shapes"}
    exec(compile(HELPER + SHAPES, "shapes", "exec", dont_inherit=True), made)  # noqa: S102 - above
    assert behaviour(rewritten(HELPER + SHAPES, "shapes"), name) == behaviour(made, name)


def test_an_object_with_slots_goes_through_pickle() -> None:
    name = "pickled_shapes"
    names = rewritten(HELPER + SHAPES, name)
    sys.modules[name] = module = ModuleType(name)
    vars(module).update(names)
    try:
        assert pickle.loads(pickle.dumps(names["Frozen"]("a", 2.0))) == names["Frozen"]("a", 2.0)  # noqa: S301 - our own
    finally:
        del sys.modules[name]


def test_a_class_that_is_made_of_one_of_a_package_has_its_fields() -> None:
    names = rewritten(HELPER + SHAPES, "shapes")
    heir = dataclasses.make_dataclass("Wide", [("colour", str, "red")], bases=(names["Frozen"],), frozen=True)
    assert [each.name for each in dataclasses.fields(heir)] == ["name", "size", "more", "secret", "colour"]
    assert heir("a").colour == "red"


@pytest.mark.parametrize(
    "source",
    [
        "@dataclass(order=True)\nclass A:\n x: int",
        "@dataclass\nclass A:\n x: ClassVar[int] = 1",
        "@dataclass\nclass A:\n x: 'ClassVar[int]' = 1",
        "@dataclass\nclass A:\n x: 'dataclasses.InitVar[int]'",
        "@dataclass\nclass A(B):\n x: int",
        "@dataclass\nclass A:\n x: int = field(init=False)",
        "@dataclass\nclass A:\n x: int\n def __eq__(self, other):\n  return True",
        "@dataclass\nclass A:\n x: int = 1\n y: int = x",
        "@other\n@dataclass\nclass A:\n x: int",
    ],
)
def test_a_class_that_is_not_plain_is_left_alone(source: str) -> None:
    tree = ast.parse(HELPER + source)
    assert ast.unparse(write_methods(tree)) == ast.unparse(ast.parse(HELPER + source))
