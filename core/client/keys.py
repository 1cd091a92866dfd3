"""API keys of a running stack."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.client.http import Transport
from core.client.shapes import check_shape, path_of

if TYPE_CHECKING:
    from core.apis.answers.keys import Key, KeyWithSecret

PATH = "/v1/keys"
PAGE = 100


class Keys:
    """The whole of a key comes with `create` and `rotate`, and never again."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, name: str, **more: Any) -> "KeyWithSecret":  # noqa: ANN401 - as the body has them
        """With `roles`, `teams`, `models`, `limits`, `expires` and `force`, as far as they are given."""
        return self._secret(PATH, {"name": name, **more})

    def list(self, *, revoked: bool = False) -> "Sequence[Key]":
        """All that the caller may see, by their ids; with those that are `revoked` on demand."""
        from core.apis.answers.keys import KeyList

        keys: list[Key] = []
        after: str | None = None
        while True:
            query = {"limit": PAGE, "after": after, "revoked": "true" if revoked else None}
            page = check_shape(self._transport.send("GET", PATH, query=query), KeyList)
            keys += page["data"]
            if not page["has_more"]:
                return keys
            after = page["last_id"]

    def get(self, key_id: str) -> "Key":
        return self._key("GET", key_id)

    def update(self, key_id: str, **changes: Any) -> "Key":  # noqa: ANN401 - as the body has them
        """Of `name`, `roles`, `teams`, `models`, `limits` and `expires` those that are given; None lifts `models` and `expires`.

        `force` also takes limits below what the key has used.
        """
        return self._key("POST", key_id, changes)

    def rotate(self, key_id: str, *, overlap: int | None = None, force: bool = False) -> "KeyWithSecret":
        """The secret of now passes for `overlap` seconds more, a day unless it is said; `force` ends that of a rotation before."""
        body = {"force": force} | ({} if overlap is None else {"overlap": overlap})
        return self._secret(f"{path_of('keys', key_id)}/rotate", body)

    def revoke(self, key_id: str) -> "Key":
        return self._key("DELETE", key_id)

    def _key(self, method: str, key_id: str, body: object = None) -> "Key":
        from core.apis.answers.keys import Key

        return check_shape(self._transport.send(method, path_of("keys", key_id), body), Key)

    def _secret(self, path: str, body: object) -> "KeyWithSecret":
        from core.apis.answers.keys import KeyWithSecret

        return check_shape(self._transport.send("POST", path, body), KeyWithSecret)
