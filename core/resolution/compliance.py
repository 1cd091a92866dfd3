"""Does an external provider keep its API's Protocol? Built-in ones are held to it by the type checker."""

from collections.abc import Iterator
import inspect
from typing import Any


class NotCompliant(Exception):
    """Raised when a provider does not keep its Protocol; the message lists everything that is wrong."""

    def __init__(self, provider_id: str, protocol: type, faults: list[tuple[str, str]]) -> None:
        """`faults` are (method, what is wrong with it)."""
        lines = "".join(f"\n  {method}: {fault}" for method, fault in faults)
        super().__init__(f"provider `{provider_id}` does not keep the protocol `{protocol.__name__}`:{lines}")
        self.faults = faults


def check_compliance(provider_id: str, provider: object, protocol: type) -> None:
    """Look at every method of `protocol`, its bases included.

    Raises:
        NotCompliant: one is missing, not callable, lacks a parameter or is only the Protocol's stub.
    """
    faults = [(name, fault) for name in sorted(_methods(protocol)) if (fault := _fault(provider, name, protocol))]
    if faults:
        raise NotCompliant(provider_id, protocol, faults)


def _bases(protocol: type) -> Iterator[type]:
    return (base for base in protocol.__mro__ if getattr(base, "_is_protocol", False))


def _methods(protocol: type) -> set[str]:
    return {
        name
        for base in _bases(protocol)
        for name, value in vars(base).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


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
    wanted = [parameter for parameter in inspect.signature(getattr(protocol, name)).parameters if parameter != "self"]
    offered = inspect.signature(bound).parameters
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in offered.values())
    absent = [] if takes_any else [parameter for parameter in wanted if parameter not in offered]
    return f"signature mismatch: no parameter {', '.join(absent)}" if absent else None
