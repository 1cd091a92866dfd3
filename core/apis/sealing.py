"""Keys with which the stack seals what it gives its callers to keep: who has them, and for whom.

Sources: https://docs.aws.amazon.com/kms/latest/developerguide/data-keys.html, .../encrypt_context.html.
"""

from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class DataKey:
    """`secret` are KEY_BYTES for AES; by `name`, which is no secret, it is found again."""

    name: bytes
    secret: bytes = field(repr=False)


class DataKeys(Protocol):
    """`owner` is the identity of whoever something is sealed for: a key that was made for one may not open for another.

    Both raise ApiError where keys cannot be had.
    """

    async def make(self, owner: str) -> DataKey:
        """A key to seal with; the same for several calls, while it is not too old."""
        ...

    async def open(self, name: bytes, owner: str) -> bytes | None:
        """The secret of the key of this name; None where none of these keys has it, for this owner."""
        ...


@runtime_checkable
class HasDataKeys(Protocol):
    """A provider that brings keys of its own."""

    def data_keys(self) -> DataKeys | None:
        """None leaves it to the key that the stack has in its state."""
        ...
