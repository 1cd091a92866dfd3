"""What callers bring for providers, kept for a job until it ends: sealed by a key of KMS, for its owner and for this job alone."""

from dataclasses import dataclass
import json
from typing import TYPE_CHECKING, Any, Final

from core.apis.sealing import DataKeys
from core.errors import NotFound
from core.frame.callers import Call
from core.services.jobs.parts import folder
from core.stores.jobs.port import Job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.services.sealing.sealer import Sealer
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
        sealed = await self._sealer(job).seal(json.dumps(dict(data), separators=(",", ":")).encode())
        await self.blobs.put(_key(job), sealed.encode())

    async def open(self, job: Job) -> dict[str, Any]:
        """Nothing of a job that keeps none. Raises SecretLost."""
        from core.services.sealing.envelope import Broken

        try:
            sealed = b"".join([chunk async for chunk in self.blobs.read(_key(job))])
        except NotFound:
            return {}
        try:
            data: dict[str, Any] = json.loads(await self._sealer(job).unseal(sealed.decode()))
        except (Broken, UnicodeDecodeError):
            raise SecretLost from None
        return data

    async def forget(self, job: Job) -> None:
        """One that is not there does not matter."""
        await self.blobs.delete(_key(job))

    def _sealer(self, job: Job) -> "Sealer":
        from core.services.sealing.sealer import Sealer

        return Sealer(self.keys, Call(job.principal), f"job:{job.id}")


def _key(job: Job) -> str:
    return folder(job.id) + NAME
