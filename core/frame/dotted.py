"""Code named by text, as `core.apis.safety:Safety`: what a table names is imported when it is first used.

A function imports the tables of its APIs at every cold start, and of what they name only what it is asked for.
"""

from functools import cache
from importlib import import_module
from typing import Any


@cache
def load(name: str) -> Any:  # noqa: ANN401 - whatever has this name
    """The attribute of a module in `module:attribute`.

    Raises:
        ImportError: there is no such module.
        KeyError: it has no such attribute.
    """
    module, _, attribute = name.partition(":")
    return vars(import_module(module))[attribute]
