"""Calls of functions as a model writes them in Java or JavaScript: `f(a = 1, b = "x")`, read by tree-sitter, which is an extra.

Source: https://tree-sitter.github.io/py-tree-sitter/, the grammars tree-sitter-java and tree-sitter-javascript.
"""

from functools import cache
from typing import Any, Final

from core.errors import ProviderUnavailable
from core.providers.scoring_basic.bfcl_calls import LONGEST, FunctionCall, NoCall, SourceValue

NO_PARSER: Final = "Calls in Java and JavaScript are read by tree-sitter: pip install 'llambda[bfcl]'."
NO_RETRY: Final = {"x-should-retry": "false"}
CALLS: Final = frozenset({"method_invocation", "call_expression"})
QUOTED: Final = frozenset({"string_literal", "character_literal", "string"})
LISTS: Final = frozenset({"array", "array_initializer"})
MADE: Final = frozenset({"object_creation_expression", "new_expression"})
LIST_MAKERS: Final = frozenset({"asList", "of", "Array"})  # whose arguments are the elements
FILLERS: Final = frozenset({"add", "push", "offer"})  # which a list has in `{{ }}` behind its name
PUT: Final = "put"
DEEPEST: Final = 20  # lists in lists

type Node = Any  # tree_sitter.Node, which is imported late


def read_java_calls(text: str) -> list[FunctionCall]:
    """As `read_calls`, of Java."""
    return _read_calls(text, "java")


def read_javascript_calls(text: str) -> list[FunctionCall]:
    """As `read_calls`, of JavaScript."""
    return _read_calls(text, "javascript")


def _read_calls(text: str, language: str) -> list[FunctionCall]:
    """The first call that is in it; brackets around it may be missing.

    Raises:
        NoCall: there is none, or the code has an error.
        ProviderUnavailable: tree-sitter is not installed.
    """
    code = text.replace("\n", "").strip().removeprefix("[").removesuffix("]").rstrip(";")
    if len(code) > LONGEST:
        raise NoCall
    root = find_parser(language).parse(f"{code};".encode("utf-8", "replace")).root_node
    node = None if root.has_error else _first_call(root)
    if node is None:
        raise NoCall
    arguments: dict[str | None, Any] = {}
    for entry in _arguments(node):
        name, value = (None, entry)
        if entry.type == "assignment_expression":
            name, value = _text(entry.child_by_field_name("left")), entry.child_by_field_name("right")
        if name in arguments:
            raise NoCall
        arguments[name] = _read_value(value, DEEPEST)
    return [FunctionCall(_name(node), arguments)]


@cache
def find_parser(language: str) -> Any:  # noqa: ANN401 - tree_sitter.Parser
    try:
        import tree_sitter
        import tree_sitter_java
        import tree_sitter_javascript
    except ModuleNotFoundError:
        raise ProviderUnavailable(NO_PARSER, headers=NO_RETRY) from None
    grammar = tree_sitter_java if language == "java" else tree_sitter_javascript
    return tree_sitter.Parser(tree_sitter.Language(grammar.language()))


def _first_call(root: Node) -> Node | None:
    """The outermost call of the first statement that has one."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.type in CALLS:
            return node
        waiting += reversed(node.named_children)
    return None


def _name(node: Node) -> str:
    if node.type == "call_expression":
        return _text(node.child_by_field_name("function"))
    owner, name = node.child_by_field_name("object"), _text(node.child_by_field_name("name"))
    return name if owner is None else f"{_text(owner)}.{name}"


def _arguments(node: Node) -> list[Node]:
    brackets = node.child_by_field_name("arguments")
    return [] if brackets is None else [child for child in brackets.named_children if "comment" not in child.type]


def _read_value(node: Node, depth: int) -> SourceValue:
    text = _text(node)
    if node.type in QUOTED:
        return SourceValue(text[1:-1], "text")
    if depth == 0:
        return SourceValue(text)
    if node.type == "array_creation_expression":
        filled = node.child_by_field_name("value")
        return SourceValue(text, parts=()) if filled is None else _read_value(filled, depth)
    reader = next((read for kinds, read in READERS if node.type in kinds), None)
    return SourceValue(text) if reader is None else reader(text, node, depth)


def _elements(text: str, node: Node, depth: int) -> SourceValue:
    return _list(text, node.named_children, depth)


def _list(text: str, nodes: list[Node], depth: int) -> SourceValue:
    return SourceValue(text, parts=tuple(_read_value(node, depth - 1) for node in nodes))


def _object(text: str, node: Node, depth: int) -> SourceValue:
    pairs = [child for child in node.named_children if child.type == "pair"]
    keys = tuple(_read_value(pair.child_by_field_name("key"), 0).text for pair in pairs)
    return SourceValue(
        text, parts=tuple(_read_value(pair.child_by_field_name("value"), depth - 1) for pair in pairs), keys=keys
    )


def _made(text: str, node: Node, depth: int) -> SourceValue:
    """`List.of(1)`, `new Array(1)`, `new ArrayList<>(Arrays.asList(1))`, and what `{{ add(1); }}` and `{{ put("a", 1); }}` fill."""
    arguments = _arguments(node)
    if _maker(node) in LIST_MAKERS:
        return _list(text, arguments, depth)
    fillers = _fillers(node)
    puts = [pair for name, pair in fillers if name == PUT and len(pair) == 2]  # noqa: PLR2004 - a key and a value
    if puts or "Map" in _maker(node) or "Hashtable" in _maker(node):
        keys = tuple(_read_value(key, 0).text for key, _ in puts)
        return SourceValue(text, parts=tuple(_read_value(value, depth - 1) for _, value in puts), keys=keys)
    added = [entry for name, entries in fillers if name in FILLERS for entry in entries]
    if node.type in MADE and (added or not arguments):
        return _list(text, added, depth)
    if node.type in MADE and len(arguments) == 1:
        inner = _read_value(arguments[0], depth - 1)
        return SourceValue(text, parts=inner.parts, keys=inner.keys)
    return SourceValue(text)


READERS: Final = ((LISTS, _elements), (frozenset({"object"}), _object), (CALLS | MADE, _made))


def _maker(node: Node) -> str:
    """The name of what is called or made, without what stands before a point or in `<>`."""
    named = (
        node.child_by_field_name("name") or node.child_by_field_name("type") or node.child_by_field_name("constructor")
    )
    return "" if named is None else _text(named).partition("<")[0].rpartition(".")[2]


def _fillers(node: Node) -> list[tuple[str, list[Node]]]:
    """The calls in the body that stands behind what is made, by their names."""
    calls: list[tuple[str, list[Node]]] = []
    waiting = [child for child in node.named_children if child.type == "class_body"]
    while waiting:
        child = waiting.pop()
        if child.type in CALLS:
            calls.append((_maker(child), _arguments(child)))
        else:
            waiting += reversed(child.named_children)
    return calls


def _text(node: Node) -> str:
    text: str = node.text.decode("utf-8", "replace")
    return text
