"""SnapStart: what was registered to run before a snapshot is taken and after an environment is made from it.

The registry is AWS's, which the managed runtime brings along: what registers there is run by AWS's own runtime too.
https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
"""

from collections.abc import Callable
from typing import Any

type Hook = tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]


def before_snapshot() -> list[Hook]:
    """In the order in which they run: the last registered first."""
    return _registered("get_before_snapshot")[::-1]


def after_restore() -> list[Hook]:
    """In the order in which they run: the first registered first."""
    return _registered("get_after_restore")


def keep_apart() -> None:
    """Register what must not be alike in all environments that are made from one snapshot."""
    from importlib import import_module

    try:
        registry = import_module("snapshot_restore_py")
    except ModuleNotFoundError:
        return
    registry.register_after_restore(_reseed)


def _reseed() -> None:
    """Else all would wait equally long before a retry, and choose the same of several targets."""
    import random

    random.seed()


def run(hooks: list[Hook]) -> None:
    """Call each; what it raises is the caller's."""
    for hook, arguments, options in hooks:
        hook(*arguments, **options)


def _registered(registry: str) -> list[Hook]:
    from importlib import import_module

    try:
        return list(getattr(import_module("snapshot_restore_py"), registry)())
    except ModuleNotFoundError:  # nobody can have registered anything
        return []
