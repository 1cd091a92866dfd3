"""What a client holds the answers of a stack to, and the paths of what it asks for."""

from typing import cast
from urllib.parse import quote

from core.client.failures import ApiFailed
from core.platform.json_values import to_object


def path_of(collection: str, identifier: str | int) -> str:
    return f"/v1/{collection}/{quote(str(identifier), safe='')}"


def check_shape[Shape](answer: object, shape: type[Shape]) -> Shape:
    """The answer, which has all the keys that a `shape` has.

    Raises:
        ApiFailed: it has not: something else answers at this URL.
    """
    keys: frozenset[str] = vars(shape)["__required_keys__"]
    if missing := keys - to_object(answer).keys():
        problem = f"the answer is not the expected {shape.__name__}: it has no {', '.join(sorted(missing))}."
        raise ApiFailed(200, problem, hint="Is this the URL of a stack of this version?")
    return cast("Shape", answer)
