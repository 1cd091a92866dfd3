"""Where a value of the normalised document stands in the document that the user wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

MOST_PATH: Final = 4096  # characters; a longer one has a key that is somebody's idea of a joke

type Value = Any
"""What YAML and JSON can say: text, numbers, true, false, null, and lists and mappings of these."""


def to_mapping(value: Value) -> Mapping[str, Value]:
    """An empty one for whatever is not a mapping."""
    return cast("Mapping[str, Value]", value) if isinstance(value, Mapping) else {}


def to_list(value: Value) -> Sequence[Value]:
    """An empty one for whatever is not a list."""
    return cast("Sequence[Value]", value) if isinstance(value, list) else ()


def take(holder: Mapping[str, Value], path: str) -> tuple[Value, Mapping[str, Value]]:
    """What is at `path`, keys with dots between them, and the mapping without it; None where there is nothing."""
    key, _, rest = path.partition(".")
    if not rest:
        return holder.get(key), {name: value for name, value in holder.items() if name != key}
    if not isinstance(holder.get(key), Mapping):
        return None, holder
    value, inner = take(holder[key], rest)
    return value, {**holder, key: inner}


def join(path: str, key: str | int) -> str:
    """`path` with one more step: `a.b` for a key, `a[0]` for an index."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def steps(path: str) -> list[str]:
    """The keys and indexes of a path, outermost first."""
    return [step for step in path.replace("[", ".").replace("]", "").split(".") if step]


@dataclass(frozen=True, slots=True)
class Places:
    """`origins`: where a value was moved from, by its path now. `texts`: what the environment said, by written path."""

    origins: Mapping[str, str] = field(default_factory=dict[str, str])
    texts: Mapping[str, str] = field(default_factory=dict[str, str])

    def source_path(self, path: str) -> str:
        """The path as the user wrote it; the longest known prefix decides."""
        if len(path) > MOST_PATH:
            return path
        for end in range(len(path), 0, -1):
            if (end == len(path) or path[end] in ".[") and path[:end] in self.origins:
                return self.origins[path[:end]] + path[end:]
        return path
