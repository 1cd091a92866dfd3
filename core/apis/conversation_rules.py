"""What the body of a request about conversations must be, beside its types."""

from collections.abc import Sequence
from typing import Final

from core.apis.response_items import REFERENCE, check_item, kind_of
from core.apis.responses import MOST_METADATA
from core.errors import InvalidRequest
from core.frame.types import JsonObject

LONGEST_KEY: Final = 64
LONGEST_VALUE: Final = 512


def check_metadata(metadata: JsonObject | None) -> None:
    """Raise InvalidRequest unless it is at most 16 pairs of texts, which are not too long."""
    if metadata is None:
        return
    if len(metadata) > MOST_METADATA:
        raise InvalidRequest(f"metadata has {len(metadata)} pairs; it has at most {MOST_METADATA}.", param="metadata")
    for key, value in metadata.items():
        if not isinstance(value, str) or len(value) > LONGEST_VALUE or len(key) > LONGEST_KEY:
            raise InvalidRequest(
                f"metadata: keys have at most {LONGEST_KEY} characters, and values are texts of at most {LONGEST_VALUE}.",
                param=f"metadata.{key}",
            )


def check_items(items: Sequence[JsonObject] | None) -> None:
    """Raise InvalidRequest for what can be no item of a conversation."""
    for place, item in enumerate(items or ()):
        path = f"items[{place}]"
        if kind_of(item) == REFERENCE:
            raise InvalidRequest(f"{path}: send the item itself; a reference has nothing to keep.", param=path)
        check_item(item, path)
