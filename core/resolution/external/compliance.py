"""Does an external provider keep its API's Protocol? Built-in ones are held to it by the type checker."""

from collections.abc import Callable, Collection, Iterator
import inspect
from typing import Any

from core.resolution.bound import protocol_methods


class NotCompliant(Exception):
    """Raised when a provider does not keep its Protocol; the message lists everything that is wrong."""

    def __init__(self, provider_id: str, protocol: type, faults: list[tuple[str, str]]) -> None:
        """`faults` are (method, what is wrong with it)."""
        lines = "".join(f"\n  {method}: {fault}" for method, fault in faults)
        super().__init__(f"provider `{provider_id}` does not keep the protocol `{protocol.__name__}`:{lines}")
        self.faults = faults


def check_compliance(provider_id: str, provider: object, protocol: type, *, without: Collection[str] = ()) -> None:
    """Look at every method of `protocol`, its bases included, but for those that it may be `without`.

    Raises:
        NotCompliant: one is missing, not callable, no coroutine function, lacks a parameter or asks for one that nobody
            gives, or is only the Protocol's stub.
    """
    methods = sorted(protocol_methods(protocol).keys() - set(without))
    faults = [
        (name, "missing") for name in _properties(protocol) if inspect.getattr_static(provider, name, None) is None
    ]
    faults += [(name, fault) for name in methods if (fault := _fault(provider, name, protocol))]
    if faults:
        raise NotCompliant(provider_id, protocol, faults)


def _bases(protocol: type) -> Iterator[type]:
    return (base for base in protocol.__mro__ if getattr(base, "_is_protocol", False))


def _properties(protocol: type) -> list[str]:
    return sorted(
        name for base in _bases(protocol) for name, value in vars(base).items() if isinstance(value, property)
    )


def _fault(provider: Any, name: str, protocol: type) -> str | None:  # noqa: ANN401 - somebody else's object
    method = inspect.getattr_static(provider, name, None)
    if method is None:
        return "missing"
    bound = getattr(provider, name)
    if not callable(bound):
        return "not callable"
    owner = next((base for base in type(provider).__mro__ if name in vars(base)), None)
    if owner in set(_bases(protocol)):
        return "not actually implemented"
    own: Callable[..., Any] = getattr(protocol, name)
    return _kind_fault(bound, own) or _signature_fault(bound, own)


def _kind_fault(bound: Callable[..., Any], own: Callable[..., Any]) -> str | None:
    """A method that is awaited, and may give a stream; or one that is not, and gives its result at once."""
    if not inspect.iscoroutinefunction(own):
        return "must be a plain `def`: nobody awaits it" if inspect.iscoroutinefunction(inspect.unwrap(bound)) else None
    inner = inspect.unwrap(bound)
    for candidate in (bound, inner, getattr(bound, "func", None), vars(type(bound)).get("__call__")):
        if inspect.iscoroutinefunction(candidate):
            return None
    if inspect.isasyncgenfunction(inner):
        return "has a yield in it: make it an `async def` that returns such a generator"
    return "must be `async def`"


def _signature_fault(bound: Callable[..., Any], own: Callable[..., Any]) -> str | None:
    names = [name for name in inspect.signature(own).parameters if name != "self"]
    try:
        offered = inspect.signature(bound).parameters
    except (ValueError, TypeError):  # of something built in
        return None
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in offered.values())
    absent = [] if takes_any else [name for name in names if name not in offered]
    unfillable = [name for name, parameter in offered.items() if name not in names and _is_required(parameter)]
    faults = [f"no parameter {', '.join(absent)}"] if absent else []
    faults += [f"nobody gives it {', '.join(unfillable)}; give it a default"] if unfillable else []
    return f"signature mismatch: {'; '.join(faults)}" if faults else None


def _is_required(parameter: inspect.Parameter) -> bool:
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in variable
