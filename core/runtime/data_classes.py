"""What the data classes of a package have in common: infra/data_classes.py writes the rest into each as source.

`dataclasses` writes the methods of each class as text at every start, and makes a class with slots twice. Here the class is
made once, and what it is made of is looked up when somebody asks for its fields.
"""

import dataclasses
from dataclasses import Field, FrozenInstanceError, field
from reprlib import recursive_repr
from typing import Any, Final

MISSING: Final = dataclasses.MISSING
set_field: Final = object.__setattr__  # what a frozen one sets its own fields with
delete_field: Final = object.__delattr__
replace: Final[Any] = vars(dataclasses)["_replace"]
Parameters: Final[Any] = vars(dataclasses)["_DataclassParams"]
make_field: Final[Any] = vars(dataclasses)["_get_field"]


class LateFields:
    """`__dataclass_fields__` of a class, made for the first who asks. `own` are those that say more than a default."""

    __slots__ = ("_of", "_own")

    def __init__(self, **own: Any) -> None:  # noqa: ANN401 - `field` says it is what it gives
        self._own: dict[str, Field[Any]] = own

    def __set_name__(self, owner: type, name: str) -> None:
        self._of = owner

    def __get__(self, instance: object, owner: type) -> dict[str, Field[Any]]:
        of: Any = self._of
        names: tuple[str, ...] = of.__match_args__
        defaults = of.__init__.__defaults__ or ()
        known = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
        fields = {name: _field(of, name, self._own.get(name), known.get(name, MISSING)) for name in names}
        type.__setattr__(of, "__dataclass_fields__", fields)
        return fields


def _field(of: type, name: str, own: Any, default: object) -> Any:  # noqa: ANN401 - `field` says it is what it gives
    if own is None:
        own = field() if default is MISSING else field(default=default)

    class Holder:
        """A class that has nothing but this field: its own is a slot by now."""

    setattr(Holder, name, own)
    return make_field(Holder, name, of.__annotations__[name], False)  # noqa: FBT003 - not by keyword alone


@recursive_repr()
def show(self: Any) -> str:  # noqa: ANN401 - a data class, which has fields
    """`__repr__`."""
    fields: dict[str, Field[Any]] = self.__dataclass_fields__
    shown = (f"{name}={getattr(self, name)!r}" for name, each in fields.items() if each.repr)
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _is_frozen(self: Any, name: str) -> bool:  # noqa: ANN401
    of: type[object] = self.__class__
    return "__dataclass_fields__" in vars(of) or name in self.__dataclass_fields__


def refuse_to_set(self: object, name: str, value: object) -> None:
    """`__setattr__` of a frozen one."""
    if _is_frozen(self, name):
        raise FrozenInstanceError(f"cannot assign to field {name!r}")
    set_field(self, name, value)


def refuse_to_delete(self: object, name: str) -> None:
    """`__delattr__` of a frozen one."""
    if _is_frozen(self, name):
        raise FrozenInstanceError(f"cannot delete field {name!r}")
    delete_field(self, name)


def state_of(self: Any) -> list[object]:  # noqa: ANN401
    """`__getstate__` of a frozen one with slots."""
    return [getattr(self, name) for name in self.__dataclass_fields__]


def set_state(self: Any, state: list[object]) -> None:  # noqa: ANN401
    """`__setstate__` of a frozen one with slots."""
    for name, value in zip(self.__dataclass_fields__, state, strict=True):
        set_field(self, name, value)
