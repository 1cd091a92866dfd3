"""Another API as a provider gets it: methods that take no call, and act for the one under way.

Whatever a provider asks of it is held to the caller's access policy, guarded by shields, charged to the caller and waited
for in the caller's request. Outside of any call, as at start, it acts as the stack itself.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
import inspect
from typing import Any

from core.frame.api import SurfaceFactory
from core.frame.callers import CURRENT_CALL, Call, CallEnded


def bind(factory: SurfaceFactory, protocol: type, *, internal: bool = False) -> Any:  # noqa: ANN401 - keeps `protocol`
    """An object with the methods of `protocol`; an `internal` one is not held to the policy where its call is not."""
    methods = {name: _bound(factory, method, internal=internal) for name, method in protocol_methods(protocol).items()}
    return type(f"Bound{protocol.__name__}", (), methods)()


def protocol_methods(protocol: type) -> dict[str, Callable[..., Any]]:
    """By name: those of its bases too."""
    bases = [base for base in reversed(protocol.__mro__) if getattr(base, "_is_protocol", False)]
    return {
        name: value
        for base in bases
        for name, value in vars(base).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


def _bound(factory: SurfaceFactory, method: Callable[..., Any], *, internal: bool) -> Callable[..., Any]:
    name = method.__name__

    @wraps(method)
    def ask(_: object, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the method has them
        # Not `async def`: the call is that of whoever calls the method, not of whoever awaits what it returns.
        return getattr(factory(_further_call(internal=internal)), name)(*args, **kwargs)

    return inspect.markcoroutinefunction(ask)


def _further_call(*, internal: bool) -> Call | None:
    call = CURRENT_CALL.get()
    if call is None:
        return None
    if call.ledger.closed:
        raise CallEnded
    further = call.cause(internal=internal and call.internal)
    return replace(further, for_verdict=True) if internal else further
