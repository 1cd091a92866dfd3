"""Filters and attributes as S3 Vectors has them.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-metadata-filtering.html.
"""

from collections.abc import Mapping
from typing import Any

from core.apis.vector_filters import Combination, Comparison, Filter, Scalar
from core.apis.vector_keys import flatten, key_of


def print_filter(tree: Filter) -> dict[str, Any]:
    """The filter in the service's language.

    What the service makes of `$ne` where there is no such key, it does not say; so that is said each time.
    """
    if isinstance(tree, Combination):
        return {f"${tree.operator}": [print_filter(part) for part in flatten(tree)]}
    condition = {key_of(tree.key): {f"${tree.operator}": _values(tree)}}
    if tree.operator in {"ne", "nin"}:
        return {"$or": [{key_of(tree.key): {"$exists": False}}, condition]}
    return condition


def _values(comparison: Comparison) -> Scalar | list[Scalar]:
    return list(comparison.value) if isinstance(comparison.value, tuple) else comparison.value


def name_attributes(attributes: Mapping[str, Scalar]) -> dict[str, Scalar]:
    return {key_of(name): value for name, value in attributes.items()}
