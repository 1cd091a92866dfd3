"""Where the bytes of files are: the storages of the providers, and which folder of theirs a file goes to.

Keys are `files/LIFE/NAME` and, of parts, `uploads/1d/NAME`. LIFE is the longest that the file may stay (`7d`, or `kept`), so that a
lifecycle rule of a bucket for each removes what nobody removes before (docs/adr/0062).
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

from core.apis.files import FilesProvider, FileStorage
from core.errors import NotFound, ProviderUnavailable, StateUnavailable
from core.frame.content import Bytes
from core.services.parts import Parts
from core.stores.connect import BLOBS, unset

FOLDER: Final = "files"
PART_LIFE: Final = "1d"
LIVES: Final = (1, 7, 30, 365)  # days
DAY: Final = 86_400
SECONDS_FIELD: Final = "expires_after[seconds]"
MOST_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Storages:
    """Those of the configured providers; new files go to the first."""

    parts: Parts

    @property
    def providers(self) -> Mapping[str, FilesProvider]:
        """By provider id, in the order of the run config."""
        return cast("Mapping[str, FilesProvider]", self.parts.providers("files"))

    @property
    def first_id(self) -> str:
        """The provider that new files go to."""
        return next(iter(self.providers))

    @property
    def ttl_seconds(self) -> int | None:
        """How long a new file stays without an expiry of its own."""
        return self.providers[self.first_id].ttl_seconds()

    def find(self, provider_id: str) -> FileStorage | None:
        """None where it is to be the blob store of the stack, which has none; raises ProviderUnavailable."""
        if provider_id not in self.providers:
            raise ProviderUnavailable(
                f"The file is kept by the provider `{provider_id}`, which this stack does not configure."
            )
        own = self.providers[provider_id].storage()
        return self.parts.stores.find(BLOBS) if own is None else own

    def get(self, provider_id: str) -> FileStorage:
        """Raises ProviderUnavailable, or StateUnavailable where there is no blob store."""
        storage = self.find(provider_id)
        if storage is None:
            raise StateUnavailable(f"This stack cannot keep files: {unset('blobs')}.")
        return storage

    def read(self, provider_id: str, key: str, size: int, **about: str) -> Bytes:
        """The bytes of a file; `about` are further fields of Bytes."""
        return Bytes(partial(_read, self.get(provider_id), key), size, **about)

    async def discard(self, provider_id: str, *keys: str) -> None:
        """Remove what nothing names any more, if that can be done: else it goes by its LIFE."""
        with suppress(StateUnavailable, ProviderUnavailable):
            await self.get(provider_id).delete(*keys)


async def _read(storage: FileStorage, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
    try:
        async for chunk in storage.read(key, start=start, stop=stop):
            yield chunk
    except NotFound:
        raise NotFound("The content of the file is gone.", param="file_id") from None


def life_of(seconds: int | None) -> str:
    """The folder of what stays so many seconds; None is for ever."""
    if seconds is None:
        return "kept"
    return next((f"{days}d" for days in LIVES if seconds <= days * DAY), "kept")


def upload_store(parts: Parts) -> FileStorage | None:
    """Where the frame streams uploads to; None where there is nothing of that kind."""
    storages = Storages(parts)
    return storages.find(storages.first_id) if storages.providers else None


def file_folder(parts: Parts, fields: list[tuple[str, str]]) -> str:
    """The life of a file by the fields before it; where it says more later, or nonsense, the service sees to that."""
    text = dict(fields).get(SECONDS_FIELD, "")
    own = int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None
    return life_of(Storages(parts).ttl_seconds if own is None else own)


def part_folder(parts: Parts, fields: list[tuple[str, str]]) -> str:
    """Parts are of no use after their upload has ended."""
    del parts, fields
    return PART_LIFE
