"""SnapStart: what was registered to run before a snapshot is taken and after an environment is made from it.

The registry is AWS's, which the managed runtime brings along: what registers there is run by AWS's own runtime too.
https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
"""

from collections.abc import Callable
from typing import Any

type Hook = tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]


def before_snapshot() -> list[Hook]:
    """In the order in which they run: the last registered first."""
    registry = _registry()
    return [] if registry is None else list(registry.get_before_snapshot())[::-1]


def after_restore() -> list[Hook]:
    """In the order in which they run: the first registered first."""
    registry = _registry()
    return [] if registry is None else list(registry.get_after_restore())


def keep_apart() -> None:
    """Register what must not be alike in all environments that are made from one snapshot."""
    registry = _registry()
    if registry is not None:
        registry.register_after_restore(_seed)


def _seed() -> None:
    """Else all would wait equally long before a retry, and choose the same of several targets."""
    import random

    random.seed()


def run(hooks: list[Hook]) -> None:
    """Call each; what it raises is the caller's."""
    for hook, arguments, options in hooks:
        hook(*arguments, **options)


def _registry() -> Any:  # noqa: ANN401 - a module without types
    """AWS's module, or None where there is none: then nobody can have registered anything."""
    from importlib import import_module

    try:
        return import_module("snapshot_restore_py")
    except ModuleNotFoundError:
        return None
