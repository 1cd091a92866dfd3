"""A trace is handed on as the W3C says it, or not at all."""

from hypothesis import example, given
from hypothesis import strategies as st
import pytest

from core.frame.tracing import MOST_STATE, UNTRACED, trace_of

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
XRAY_ID = "5759e988bd862e3fe1be46a994272793"
XRAY = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


def hexadecimal(digits: int) -> st.SearchStrategy[str]:
    return st.text("0123456789abcdef", min_size=digits, max_size=digits).filter(lambda text: text.strip("0"))


@given(hexadecimal(32), hexadecimal(16), st.integers(0, 255))
def test_a_traceparent_is_handed_on_unchanged(trace: str, parent: str, flags: int) -> None:
    given_one = f"00-{trace}-{parent}-{flags:02x}"
    found = trace_of({"traceparent": given_one})
    assert (found.id, found.headers) == (trace, {"traceparent": given_one})


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "00",
        TRACEPARENT.upper(),
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-1",
        f"{TRACEPARENT}-more",
        f"{TRACEPARENT},{TRACEPARENT}",
        f" {TRACEPARENT}",
        f"{TRACEPARENT}\n",
        f"01-{TRACE}-{PARENT}-01more",
        f"00-{TRACE.replace('4', '٤')}-{PARENT}-01",
    ],
)
def test_a_traceparent_that_is_not_valid_is_dropped_with_its_state(wrong: str) -> None:
    assert trace_of({"traceparent": wrong, "tracestate": "a=1"}) is UNTRACED


def test_of_a_later_version_what_is_understood_is_handed_on() -> None:
    found = trace_of({"traceparent": f"cc-{TRACE}-{PARENT}-ff-what-the-future-will-be-like"})
    assert found.headers == {"traceparent": TRACEPARENT}


def test_state_without_a_parent_is_nothing() -> None:
    assert trace_of({"tracestate": "a=1"}) is UNTRACED


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        ("a=1 , \tb@c=2,,", "a=1,b@c=2"),
        ("a=1,B=2", None),
        ("a", None),
        ("a=1,b=\x01", None),
        ("a=1=2", None),
        ("", None),
        (",".join(f"k{index}=v" for index in range(32)), ",".join(f"k{index}=v" for index in range(32))),
        (",".join(f"k{index}=v" for index in range(33)), None),
        (f"a={'v' * 256}", f"a={'v' * 256}"),
        (f"a={'v' * 257}", None),
        (f"a={'v' * 250},b={'v' * 250},c={'v' * 250}", None),
    ],
)
def test_a_state_is_handed_on_whole_or_not_at_all(state: str, kept: str | None) -> None:
    headers = trace_of({"traceparent": TRACEPARENT, "tracestate": state}).headers
    assert headers == {"traceparent": TRACEPARENT} | ({} if kept is None else {"tracestate": kept})


@pytest.mark.parametrize(
    ("sampled", "flags"), [("Sampled=1", "01"), ("Sampled=0", "00"), ("Sampled=?", "00"), ("", "00")]
)
def test_an_xray_header_becomes_a_traceparent(sampled: str, flags: str) -> None:
    for header in (
        XRAY.replace("Sampled=1", sampled),
        f"Self=1-67891234-12456789abcdef012345678; {sampled};{XRAY[:-10]}",
    ):
        found = trace_of({"x-amzn-trace-id": header})
        assert found.id == XRAY_ID
        assert found.headers == {"traceparent": f"00-{XRAY_ID}-53995c3f42cd8ad8-{flags}"}


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "Root=1-5759e988-bd862e3fe1be46a994272793",
        XRAY.replace("1-", "2-"),
        XRAY.replace("Parent", "P"),
        "=;=;;",
        XRAY[5:],
    ],
)
def test_an_xray_header_that_is_no_place_in_a_trace_is_dropped(wrong: str) -> None:
    assert trace_of({"x-amzn-trace-id": wrong}) is UNTRACED


def test_a_traceparent_goes_before_xray_and_one_that_is_not_valid_does_not() -> None:
    assert trace_of({"traceparent": TRACEPARENT, "x-amzn-trace-id": XRAY}).id == TRACE
    assert trace_of({"traceparent": "00", "x-amzn-trace-id": XRAY}).id == XRAY_ID


def test_what_lambda_says_of_its_segment_goes_before_the_header() -> None:
    segment = XRAY.replace("53995c3f42cd8ad8", "9a9197af755a6419")
    carriers = {"x-amzn-trace-id": XRAY}
    assert trace_of(carriers, segment).headers == {"traceparent": f"00-{XRAY_ID}-9a9197af755a6419-01"}
    assert trace_of({}, segment).id == XRAY_ID
    assert trace_of(carriers, "Root=1-673f0000-0123456789abcdef01234567;Sampled=1").id == XRAY_ID
    assert trace_of({"traceparent": TRACEPARENT}, segment).id == TRACE


@given(st.text(), st.text(), st.text())
@example(TRACEPARENT, "a=1\r\nx: y", XRAY)
@example("00", "a=1", XRAY + "\r\nx: y")
def test_whatever_comes_what_is_handed_on_is_short_and_can_be_a_header(parent: str, state: str, xray: str) -> None:
    headers = trace_of({"traceparent": parent, "tracestate": state, "x-amzn-trace-id": xray}).headers
    assert set(headers) <= {"traceparent", "tracestate"}
    assert all(value.isascii() and value.isprintable() and len(value) <= MOST_STATE for value in headers.values())
