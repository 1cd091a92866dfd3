"""JSON as plain lines, for who looks for words in it: no quotes, no escapes, every key and every value once."""

from collections.abc import Iterator

from pydantic_core import to_json

from core.platform.json_values import is_list, is_object


def outline(value: object) -> str:
    """A line `key: value` for each member, the entries of lists and objects below their key; in the order of the JSON."""
    return "\n".join(_lines(value))


def _lines(value: object) -> Iterator[str]:
    if is_object(value):
        for key, member in value.items():
            yield from _member(str(key), member)
    elif is_list(value):
        for entry in value:
            yield from _lines(entry)
    elif value is not None:
        yield _scalar(value)


def _member(key: str, member: object) -> Iterator[str]:
    if member is None or is_object(member) or is_list(member):  # the key stands once, however many are below it
        yield f"{key}:"
        yield from _lines(member)
    else:
        yield f"{key}: {_scalar(member)}"


def _scalar(value: object) -> str:
    return value if isinstance(value, str) else to_json(value, fallback=str, inf_nan_mode="constants").decode()
