"""What users note of vector stores and of the files in them: few keys with short values."""

from collections.abc import Mapping
from typing import Any, Final

from core.errors import InvalidRequest, shorten

MOST_KEYS: Final = 16
MOST_KEY: Final = 64  # characters
MOST_VALUE: Final = 512  # characters
OWN_KEYS: Final = (
    "provider_id",
    "provider_vector_store_id",
    "provider_vector_db_id",
    "embedding_model",
    "embedding_dimension",
)
"""What the answers say of a store in its metadata; a new one may be asked for by them."""


def check_metadata(metadata: Mapping[str, Any], param: str = "metadata") -> dict[str, str]:
    """The metadata of a store, without OWN_KEYS; raises InvalidRequest for what a store cannot have."""
    own = {key: value for key, value in metadata.items() if key not in OWN_KEYS}
    check_keys(own, param)
    for key, value in own.items():
        if not isinstance(value, str):
            raise InvalidRequest(f"`{shorten(key, MOST_KEY)}` must be a string.", param=f"{param}.{key}")
        check_text(key, value, param)
    return own


def check_keys(values: Mapping[str, Any], param: str) -> None:
    """Raise InvalidRequest for too many keys, or one that is too long."""
    if len(values) > MOST_KEYS:
        raise InvalidRequest(f"{param} has {len(values)} keys, and may have {MOST_KEYS}.", param=param)
    for key in values:
        if not 0 < len(key) <= MOST_KEY:
            raise InvalidRequest(f"A key of {param} must have 1 to {MOST_KEY} characters.", param=param)
        _check_unicode(key, param)


def check_text(key: str, value: str, param: str) -> None:
    """Raise InvalidRequest for a string that is too long."""
    if len(value) > MOST_VALUE:
        raise InvalidRequest(
            f"`{shorten(key, MOST_KEY)}` has {len(value)} characters, and may have {MOST_VALUE}.",
            param=f"{param}.{key}",
        )
    _check_unicode(value, param)


def _check_unicode(text: str, param: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"{param} has half of a surrogate pair, which is no character.", param=param) from None
