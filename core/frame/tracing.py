"""The trace that a request is part of, read from its headers and handed on to providers.

Sources: https://www.w3.org/TR/trace-context/ and
https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader.
"""

from collections.abc import Mapping
from contextvars import ContextVar
import os
import re
from typing import Final, NamedTuple

TRACEPARENT: Final = "([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
MEMBER: Final = r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
ROOT: Final = "1-([0-9a-f]{8})-([0-9a-f]{24})"
PARENT: Final = "[0-9a-f]{16}"
MOST_STATE: Final = 512  # characters of tracestate, which every system should be able to pass on
MOST_MEMBERS: Final = 32
CARRIERS: Final = frozenset({"traceparent", "tracestate", "x-amzn-trace-id"})
"""The headers that a trace comes in."""


class Trace(NamedTuple):
    """`id` is 32 hexadecimal digits; `headers` hand the trace on."""

    id: str
    headers: Mapping[str, str]


UNTRACED: Final = Trace("", {})
TRACE: Final = ContextVar("trace", default=UNTRACED)
"""The request's trace.

A context variable, because no decision is made by it: as a parameter it would be in every method of every provider,
also of those that others write. A task that is started on a request's behalf has it; the next request has not.
"""
REQUEST_ID: Final = ContextVar("request_id", default="")
"""Of the request under way, as its log lines and its answer have it; empty outside of any."""


def new_id() -> str:
    """Of a request, or of a message, that comes without one."""
    return f"req_{os.urandom(16).hex()}"


def trace_of(carriers: Mapping[str, str], segment: str = "") -> Trace:
    """The trace in `traceparent`, else in `segment`, which is what Lambda says of X-Ray, else in `x-amzn-trace-id`.

    What is not valid counts as missing.
    """
    if not carriers and not segment:
        return UNTRACED
    w3c = _parse_w3c(carriers.get("traceparent", ""), carriers.get("tracestate", ""))
    return w3c or _parse_xray(segment) or _parse_xray(carriers.get("x-amzn-trace-id", "")) or UNTRACED


def _parse_w3c(traceparent: str, tracestate: str) -> Trace | None:
    match = re.fullmatch(TRACEPARENT, traceparent) if traceparent else None
    if match is None:
        return None
    version, trace, parent, flags, more = match.groups()
    if version == "ff" or (version == "00" and more):
        return None
    if version != "00":  # it is handed on as 00; of a later version only the first flag is sure to mean the same
        flags = f"{int(flags, 16) & 1:02x}"
    return _trace(trace, parent, flags, _state(tracestate))


def _state(tracestate: str) -> str:
    """The list as it may be passed on; empty if any of it is wrong."""
    members = [member.strip(" \t") for member in tracestate.split(",") if member.strip(" \t")]
    state = ",".join(members)
    valid = len(state) <= MOST_STATE and len(members) <= MOST_MEMBERS and all(re.fullmatch(MEMBER, m) for m in members)
    return state if valid else ""


def _parse_xray(header: str) -> Trace | None:
    """Only with a parent: API Gateway sends an id alone with requests that are not traced."""
    if "Parent=" not in header:
        return None
    parts = (part.strip().partition("=") for part in header.split(";"))
    fields = {name: value for name, _, value in parts}
    root, parent = re.fullmatch(ROOT, fields.get("Root", "")), fields.get("Parent", "")
    if root is None or re.fullmatch(PARENT, parent) is None:
        return None
    return _trace("".join(root.groups()), parent, "01" if fields.get("Sampled") == "1" else "00", "")


def _trace(trace: str, parent: str, flags: str, state: str) -> Trace | None:
    if not trace.strip("0") or not parent.strip("0"):
        return None
    return Trace(trace, {"traceparent": f"00-{trace}-{parent}-{flags}"} | ({"tracestate": state} if state else {}))
