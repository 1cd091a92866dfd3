"""What callers bring for providers, kept for a job until it ends: sealed by a key of KMS, for its owner and for this job alone."""

from dataclasses import dataclass
import json
from typing import TYPE_CHECKING, Any, Final

from core.apis.sealing import DataKeys
from core.errors import NotFound
from core.services.jobs.parts import folder
from core.stores.jobs.port import Job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.stores.blobs.port import BlobStore

NAME: Final = "provider_data"


class SecretLost(Exception):
    """It cannot be opened: the key is no more, or it is not what was sealed."""


@dataclass(frozen=True, slots=True)
class JobSecrets:
    """Of all jobs of a stack. Each method raises StateUnavailable, and ApiError where KMS cannot be asked."""

    blobs: "BlobStore"
    keys: DataKeys

    async def keep(self, job: Job, data: "Mapping[str, Any]") -> None:
        from core.services.responses.sealing.envelope import seal

        content = json.dumps(dict(data), separators=(",", ":")).encode()
        sealed = seal(content, await self.keys.make(job.owner), _reader(job))
        await self.blobs.put(_key(job), sealed.encode())

    async def open(self, job: Job) -> dict[str, Any]:
        """Nothing of a job that keeps none. Raises SecretLost."""
        from core.services.responses.sealing.envelope import Broken, Envelope

        try:
            sealed = b"".join([chunk async for chunk in self.blobs.read(_key(job))])
        except NotFound:
            return {}
        try:
            envelope = Envelope.read(sealed.decode())
            key = await self.keys.open(envelope.name, job.owner)
            if key is None:
                raise SecretLost
            data: dict[str, Any] = json.loads(envelope.open(key, _reader(job)))
        except (Broken, UnicodeDecodeError):
            raise SecretLost from None
        return data

    async def forget(self, job: Job) -> None:
        """One that is not there does not matter."""
        await self.blobs.delete(_key(job))


def _key(job: Job) -> str:
    return folder(job.id) + NAME


def _reader(job: Job) -> str:
    return f"{job.owner}\0job:{job.id}"
