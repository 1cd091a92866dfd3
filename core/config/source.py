"""A run config's file as plain values: YAML, or JSON where the build has compiled it (then yaml is not imported)."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from core.config.places import join
from core.config.problems import Problem

if TYPE_CHECKING:
    from yaml.nodes import Node, ScalarNode

TEXT: Final = "tag:yaml.org,2002:str"
TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"
MAPPING: Final = "tag:yaml.org,2002:map"
MERGE: Final = "tag:yaml.org,2002:merge"
MOST_VALUES: Final = 100_000  # with every alias written out: a page of aliases of aliases stands for billions
OF_AN_ENTRY: Final = frozenset({"provider_id", "provider_type", "config"})
UNINDENTED: Final = (
    "the file has lost its indentation: `{key}` belongs within `providers`, and stands at the left margin on line {line}; "
    "copy the file from where its lines are still indented"
)


def read(path: Path) -> tuple[dict[str, Any] | None, list[Problem]]:
    """The mapping in the file, or None and why not. A key given twice is a problem; the mapping then has the last."""
    try:
        text = path.read_text("utf-8-sig")
        value, problems = _json(text) if path.suffix == ".json" else _yaml(text)
    except FileNotFoundError:
        return None, [Problem("", "there is no such file")]
    except OSError as failure:
        return None, [Problem("", f"the file cannot be read: {failure.strerror}")]
    except UnicodeDecodeError as failure:
        return None, [Problem("", f"the file is not UTF-8 text: byte {failure.start} ({failure.reason})")]
    except RecursionError:
        return None, [Problem("", "the document is nested too deeply")]
    if isinstance(value, dict):
        return cast("dict[str, Any]", value), problems
    kind = "nothing" if value is None else f"a {'list' if isinstance(value, list) else 'single value'}"
    return None, problems or [Problem("", f"the document must be a mapping of keys, got {kind}")]


def _json(text: str) -> tuple[Any, list[Problem]]:
    import json

    problems: list[Problem] = []

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        counts = Counter(key for key, _ in pairs)
        problems.extend(Problem(key, "is given more than once") for key, count in counts.items() if count > 1)
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=mapping), problems
    except json.JSONDecodeError as failure:
        return None, [Problem("", f"not valid JSON, line {failure.lineno}, column {failure.colno}: {failure.msg}")]


def _yaml(text: str) -> tuple[Any, list[Problem]]:
    import yaml

    try:
        # Disallowed characters are found by the constructor already, hence within the try.
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None, []
        flaw = _flaw(node)
        if flaw is not None:
            return None, [Problem("", flaw)]
        problems = list(_odd_keys(node, "", set()))
        return loader.construct_document(node), problems  # pyright: ignore[reportUnknownMemberType]  # untyped in the stubs
    except yaml.MarkedYAMLError as failure:
        mark = failure.problem_mark
        position = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        return None, [Problem("", f"not valid YAML{position}: {failure.problem or failure.context}")]
    except yaml.YAMLError as failure:
        return None, [Problem("", f"not valid YAML: {' '.join(str(failure).split())}")]


def _flaw(node: "Node") -> str | None:
    """Why nothing of the document can be read, None where it can."""
    if _size(node, {}) > MOST_VALUES:
        return f"the document's aliases stand for more than {MOST_VALUES} values, or for themselves"
    pairs = cast("list[tuple[Node, Node]]", node.value) if node.tag == MAPPING else []
    margin = {str(key.value): key.start_mark.line + 1 for key, _ in reversed(pairs)}
    misplaced = OF_AN_ENTRY & margin.keys()
    if "providers" in margin and misplaced:
        key = min(misplaced, key=margin.__getitem__)
        return UNINDENTED.format(key=key, line=margin[key])
    return None


def _size(node: "Node", sizes: dict[int, int]) -> int:
    """How many values `node` stands for, aliases written out; one within itself stands for too many."""
    if isinstance(node.value, str):
        return 1
    if id(node) not in sizes:
        sizes[id(node)] = MOST_VALUES  # while it is looked into
        parts = cast("list[Node | tuple[Node, Node]]", node.value)
        nodes = [part for entry in parts for part in (entry if isinstance(entry, tuple) else (entry,))]
        sizes[id(node)] = 1 + sum(_size(part, sizes) for part in nodes)
    return sizes[id(node)]


def _odd_keys(node: "Node", path: str, seen: set[int]) -> Iterator[Problem]:
    """Keys that are given twice or are no text. On the way, dates become text: a run config has no dates."""
    from yaml.nodes import MappingNode, ScalarNode, SequenceNode

    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, SequenceNode):
        for index, item in enumerate(cast("list[Node]", node.value)):
            yield from _odd_keys(item, join(path, index), seen)
    elif isinstance(node, MappingNode):
        lines: dict[str, int] = {}
        for key, item in cast("list[tuple[Node, Node]]", node.value):
            if isinstance(key, ScalarNode):
                yield from _odd_key(key, path, lines)
                yield from _odd_keys(item, join(path, str(key.value)), seen)
    elif node.tag == TIMESTAMP:
        node.tag = TEXT


def _odd_key(key: "ScalarNode", path: str, lines: dict[str, int]) -> Iterator[Problem]:
    name, line = str(key.value), key.start_mark.line + 1
    if key.tag == MERGE:
        return
    place = join(path, name)
    if key.tag != TEXT:
        key.tag = TEXT
        yield Problem(place, f"the key `{name}` on line {line} reads as something other than text; put it in quotes")
    elif name in lines:
        yield Problem(place, f"is given twice, on line {lines[name]} and on line {line}")
    lines[name] = line
