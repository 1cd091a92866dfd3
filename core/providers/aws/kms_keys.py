"""Data keys of AWS KMS, by signed JSON (docs/adr/0086): each for one owner, whose digest is in its encryption context.

Sources: https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html, API_Decrypt.html,
https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html.
"""

from base64 import b64decode, b64encode
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from core.apis.sealing import DataKey
from core.errors import ApiError, ProviderUnavailable, UpstreamFailed
from core.platform.aws_errors import Fault, SetupInvalid, code_of, describe_setup, fault_of
from core.platform.ttl_cache import TtlCache
from core.providers.aws.clients import AwsClients, AwsConfig
from core.providers.aws.failures import FAILURES

if TYPE_CHECKING:
    from core.platform.signed_json import SignedJson

SERVICE: Final = "kms"
TYPE: Final = "application/x-amz-json-1.1"
TARGET: Final = "TrentService."
SECONDS: Final = 300.0  # that a key is remembered
MOST_KEYS: Final = 256
MOST_USES: Final = 10_000
CONNECT_SECONDS, READ_SECONDS = 3.0, 5.0
FOREIGN: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
"""What KMS says of a key's name that it did not make, or not with this key and context."""
BY_CODE: Final = {
    "NotFoundException": "does not exist",
    "DisabledException": "is disabled",
    "KMSInvalidStateException": "cannot be used in the state that it is in",
    "InvalidKeyUsageException": "is not one for encryption",
    "AccessDeniedException": "may not be used with the stack's permissions: `llambda iam` prints those that it needs",
}


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What keys are for: `context` is in the encryption context of each, so that those of one use open for no other; `sealed_things` are what they seal, in the plural."""

    context: str
    sealed_things: str


COMPACTION: Final = KeyUse("compaction", "compacted contexts")


@dataclass(slots=True)
class _Made:
    key: DataKey
    uses: int = 0


class KmsKeys:
    """Answers `core.apis.sealing.DataKeys`; `key_id` is a key's id, ARN or alias."""

    def __init__(
        self,
        key_id: str,
        clients: AwsClients | None = None,
        *,
        endpoint_url: str | None = None,
        use: KeyUse = COMPACTION,
    ) -> None:
        """Nothing is imported or opened before the first call; without `clients` the SDK's default chain says who calls."""
        self._key_id = key_id
        self._endpoint = endpoint_url
        self._use = use
        self._clients = clients or AwsClients(AwsConfig())
        self._signed: SignedJson | None = None
        self._made: TtlCache[str, _Made] = TtlCache(SECONDS, most=MOST_KEYS)
        self._opened: TtlCache[tuple[bytes, str], bytes] = TtlCache(SECONDS, most=MOST_KEYS)

    async def make(self, owner: str) -> DataKey:
        new = await self._made.get(owner, lambda: self._generate(owner))
        new.uses += 1
        if new.uses >= MOST_USES:
            self._made.forget(owner)
        return new.key

    async def open(self, name: bytes, owner: str) -> bytes | None:
        try:
            return await self._opened.get((name, owner), lambda: self._decrypt(name, owner))
        except _ForeignKey:
            return None

    async def close(self) -> None:
        await self._made.close()
        await self._opened.close()
        if self._signed is not None:
            await self._signed.close()
        await self._clients.close()

    async def _generate(self, owner: str) -> _Made:
        answer = await self._post("GenerateDataKey", {"KeySpec": "AES_256", "EncryptionContext": self._context(owner)})
        key = DataKey(b64decode(answer["CiphertextBlob"]), b64decode(answer["Plaintext"]))
        self._opened.put((key.name, owner), key.secret)
        return _Made(key)

    async def _decrypt(self, name: bytes, owner: str) -> bytes:
        body = {"CiphertextBlob": b64encode(name).decode(), "EncryptionContext": self._context(owner)}
        return b64decode((await self._post("Decrypt", body))["Plaintext"])

    async def _post(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        from core.platform.json_reader import read_object

        headers = {"X-Amz-Target": TARGET + action, "Content-Type": TYPE}
        with self._translate_errors():
            answer = await self._service.send("", to_json({"KeyId": self._key_id, **body}), headers)
            return read_object(answer.content)

    @property
    def _service(self) -> "SignedJson":
        if self._signed is None:
            from core.providers.aws.signed import open_signed

            self._signed = open_signed(
                SERVICE,
                self._key_id,
                self._clients,
                endpoint_url=self._endpoint,
                connect_seconds=CONNECT_SECONDS,
                read_seconds=READ_SECONDS,
            )
        return self._signed

    @contextmanager
    def _translate_errors(self) -> Generator[None]:
        """What a signed call raises leaves as an ApiError without what KMS says, which may have an ARN."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (ClientError, BotoCoreError, SetupInvalid, TimeoutError, OSError, ValueError) as failure:
            if code_of(failure) in FOREIGN:
                raise _ForeignKey from None
            translated = self._translate(failure)
            translated.reason = code_of(failure)
            raise translated from failure

    def _translate(self, failure: Exception) -> ApiError:
        name = f"The KMS key that {self._use.sealed_things} are sealed with"
        if (reason := BY_CODE.get(code_of(failure))) is not None:
            return UpstreamFailed(f"{name} {reason}.")
        fault = fault_of(failure)
        if fault is Fault.UNUSABLE:
            return ProviderUnavailable(f"{name} {describe_setup(failure, region='the ARN of the key')}.")
        kind, reason = FAILURES.get(fault, (UpstreamFailed, "cannot be used"))
        return kind(f"KMS, for {self._use.sealed_things}, {reason}.")

    def _context(self, owner: str) -> dict[str, str]:
        """CloudTrail shows it: a digest tells nobody's name."""
        return {"llambda": self._use.context, "owner": sha256(owner.encode()).hexdigest()}


class _ForeignKey(Exception):
    pass
