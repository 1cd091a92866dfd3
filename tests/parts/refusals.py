"""Errors as a caller gets them, which hold no part of the token that they are about."""

import re
import traceback

import pytest

from core.auth.verifier import Incoming, Verifier
from core.errors import ApiError, Unauthenticated

WINDOW = 8


async def refused(
    verifier: Verifier, token: str, caplog: pytest.LogCaptureFixture, kind: type[ApiError] = Unauthenticated
) -> ApiError:
    """The error that `verifier` raises for `token`; fails if any 8 characters of a segment are in it or in a log."""
    with pytest.raises(kind) as caught:
        await verifier.verify(Incoming(token))
    failure = caught.value
    said = "\n".join(
        [
            repr(failure),
            str(failure.body()),
            str(failure.headers),
            *traceback.format_exception_only(failure),
            caplog.text,
        ]
        + [str(context) for context in (failure.__cause__, failure.__context__) if context is not None]
    )
    assert not said_of(token, said)
    assert not set(failure.message) & set('"\\')
    return failure


def said_of(token: str, said: str) -> set[str]:
    """The parts of a token that are in `said`."""
    windows = {
        segment[start : start + WINDOW]
        for segment in re.split(r"\.", token)
        for start in range(max(0, len(segment) - WINDOW + 1))
    }
    return {window for window in windows if window in said}
