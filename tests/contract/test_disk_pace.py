"""Where a short blob is written: on the event loop, once the disk was quick, and in a thread, where it was not."""

from pathlib import Path
import threading
from typing import Any

import pytest

from core.stores.blobs import local
from core.stores.blobs.partial import QUICK, SHORT, TRIALS, DiskPace


async def threads_of(blobs: Any, monkeypatch: pytest.MonkeyPatch, sizes: list[int]) -> list[bool]:
    """Whether each write was done by the event loop's own thread."""
    here: list[bool] = []
    write = blobs._write

    def note_and_write(*arguments: Any) -> Any:
        here.append(threading.current_thread() is threading.main_thread())
        return write(*arguments)

    monkeypatch.setattr(blobs, "_write", note_and_write)
    for number, size in enumerate(sizes):
        await blobs.put(f"files/{number}", bytes(size))
        assert (await blobs.head(f"files/{number}")).size == size
    return here


async def test_the_event_loop_waits_for_short_writes_of_a_quick_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.stores.blobs.partial.QUICK", 60.0)
    here = await threads_of(local.LocalBlobs(tmp_path), monkeypatch, [1] * (TRIALS + 2) + [SHORT + 1, 1])
    # The first looks at what was left behind, which says nothing of the disk.
    assert here == [False] * (TRIALS + 1) + [True, False, True]


async def test_writes_of_a_slow_disk_are_for_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.stores.blobs.partial.QUICK", 0.0)
    here = await threads_of(local.LocalBlobs(tmp_path), monkeypatch, [1] * (TRIALS + 4))
    assert not any(here)


async def test_a_look_at_what_was_left_behind_is_for_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.stores.blobs.partial.QUICK", 60.0)
    monkeypatch.setattr(local, "SWEEP_SECONDS", 0.0)
    assert not any(await threads_of(local.LocalBlobs(tmp_path), monkeypatch, [1] * (TRIALS + 4)))


def test_one_slow_write_puts_the_next_into_threads() -> None:
    pace = DiskPace()
    for _ in range(TRIALS):
        assert not pace.may_wait(1)
        pace.note(1, QUICK / 2)
    pace.note(SHORT + 1, 60.0)  # of a long one nothing is said
    assert pace.may_wait(SHORT)
    assert not pace.may_wait(SHORT + 1)
    pace.note(1, 2 * QUICK)
    assert not pace.may_wait(1)
