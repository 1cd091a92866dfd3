"""How a registered configuration is written down, alike in every store: as a resource is, in `core.stores.registry.codec`."""

from typing import Final

from core.apis.configurations import Configuration
from core.errors import NotFound
from core.frame.resources import Resource
from core.stores.registry import codec

KIND: Final = "configuration"
MOST_VERSION: Final = 2**63 - 1  # SQLite's greatest integer


def is_possible(version: int) -> bool:
    """Whether a configuration could have this version; no other number is in a store."""
    return 1 <= version <= MOST_VERSION


def encode(configuration: Configuration) -> str:
    """The configuration as ASCII JSON.

    Raises:
        InvalidRequest: it is too large, or not JSON.
    """
    identifier = str(configuration.version)
    attributes = {"overlay": configuration.overlay, "note": configuration.note}
    created, owner = configuration.created, configuration.owner
    return codec.encode(Resource(KIND, identifier, KIND, identifier, attributes, created, owner))


def decode(body: str) -> Configuration:
    """What `encode` wrote."""
    row = codec.decode(body)
    return Configuration(
        int(row.identifier), row.attributes["overlay"], row.created, row.owner, row.attributes.get("note", "")
    )


def not_found(version: int) -> NotFound:
    """The failure to raise where there is no such version."""
    return NotFound(f"There is no configuration `{version}`. GET /v1/configurations lists those that exist.")
