"""How much a caller may keep: its tally, which a write that would exceed a limit is refused by."""

from core.errors import LimitReached
from core.frame.callers import KeepLimits
from core.services.files.records import BYTES, FILE, FILES, FileRecord, UploadRecord
from core.stores.documents.port import Tally, TallyExceeded


def tally_id(owner: str) -> str:
    """Under which what the owner of this list keeps is counted."""
    return f"owner:{owner}"


def counts(limits: KeepLimits) -> bool:
    """Whether what the caller keeps is to be counted."""
    return limits.files is not None or limits.bytes is not None


def addition(owner: str, size: int, limits: KeepLimits, *, holds: bool = True) -> tuple[Tally, ...]:
    """What one more file of so many bytes adds; nothing where nothing is limited. Without `holds` it is counted alone."""
    if not counts(limits):
        return ()
    if not holds:
        return (Tally(FILE, tally_id(owner), {FILES: 1, BYTES: size}),)
    most = {name: limit for name, limit in ((FILES, limits.files), (BYTES, limits.bytes)) if limit is not None}
    return (Tally(FILE, tally_id(owner), {FILES: 1, BYTES: size}, most),)


def removal(owner: str, record: FileRecord | UploadRecord) -> tuple[Tally, ...]:
    """What it takes away again."""
    return (Tally(FILE, tally_id(owner), {FILES: -1, BYTES: -record.bytes}),) if record.counted else ()


def refusal(exceeded: TallyExceeded) -> LimitReached:
    """The failure that the caller is told."""
    most, name = exceeded.tally.most[exceeded.name], exceeded.name
    if name == FILES:
        return LimitReached("max_files", f"You may keep {most} files, and have as many. Delete some.")
    return LimitReached(
        "max_bytes",
        f"You may keep {most} bytes in files, and have {exceeded.value}; this one has {exceeded.tally.changes[name]}. "
        "Delete some files.",
        status=413,
    )
