"""The version, as a constant: a deployed package has no metadata to ask, and asking costs a cold start."""

from typing import Final

VERSION: Final = "0.1.0"
