"""Sealed texts: AES-256-GCM under a data key, with the owner in what is authenticated. Nothing here asks anybody.

    base64url( "L1", length of NAME in 2 bytes, NAME, nonce of 12 bytes, ciphertext with its tag of 16 )

Source: NIST SP 800-38D; nonces are random, for which a key may seal 2^32 texts.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from secrets import token_bytes
from typing import Final

from core.apis.sealing import DataKey

MARK: Final = b"L1"
NONCE: Final = 12
TAG: Final = 16
LENGTH: Final = 2  # bytes of the length of a name
MOST_NAME: Final = 6144  # bytes, as KMS makes of a key at most
MOST_SEALED: Final = 8 * 1024 * 1024  # characters


class Broken(Exception):
    """It was not sealed here, or not for this owner, or is not as it was."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is read of a sealed text before it is opened."""

    name: bytes
    nonce: bytes
    ciphertext: bytes

    @classmethod
    def read(cls, text: str) -> "Envelope":
        """Raises Broken."""
        try:
            content = urlsafe_b64decode(text + "=" * (-len(text) % 4)) if len(text) <= MOST_SEALED else b""
        except ValueError:  # of other characters, or not ASCII
            raise Broken from None
        # There is one way to write it: else what is the same would not look it.
        if _encode(content) != text or not content.startswith(MARK):
            raise Broken
        begin = len(MARK) + LENGTH
        end = begin + int.from_bytes(content[len(MARK) : begin])
        if len(content) < end + NONCE + TAG:
            raise Broken
        return cls(content[begin:end], content[end : end + NONCE], content[end + NONCE :])

    def open(self, secret: bytes, owner: str) -> bytes:
        """Raises Broken."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # late: 13 ms, and few requests have it

        try:
            return AESGCM(secret).decrypt(self.nonce, self.ciphertext, _context(self.name, owner))
        except InvalidTag:
            raise Broken from None


def seal(content: bytes, key: DataKey, owner: str) -> str:
    """The content for this owner; longer by a third and the length of the key's name."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = token_bytes(NONCE)
    ciphertext = AESGCM(key.secret).encrypt(nonce, content, _context(key.name, owner))
    return _encode(_head(key.name) + nonce + ciphertext)


def _head(name: bytes) -> bytes:
    return MARK + len(name).to_bytes(LENGTH) + name


def _context(name: bytes, owner: str) -> bytes:
    return _head(name) + owner.encode()


def _encode(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
