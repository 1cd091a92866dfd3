"""Names of indexes and of attributes, and what a run config may say of S3 Vectors."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
import pytest

from core.apis.vector_keys import attribute_of, key_of
from core.providers.s3_vectors.config import Config
from core.providers.s3_vectors.wire import MOST_TEXT, OURS, cut_text, index_name

names = st.text(max_size=64) | st.sampled_from(["", "_text", "_x", "a-20b", "$eq", "a.b", "_xa", "text", *OURS])


@given(names)
def test_an_attribute_comes_back_by_its_key_which_is_none_of_ours(name: str) -> None:
    key = key_of(name)
    assert attribute_of(key) == name
    assert re.fullmatch(r"[A-Za-z0-9_-]+", key)
    assert key not in OURS


def test_a_plain_name_is_its_own_key() -> None:
    assert [key_of(name) for name in ("year", "a_b", "_a", "1")] == ["year", "a_b", "_x_a", "_x1"]


@given(st.text(), st.sampled_from(["", "a", "0123456789.123456789"]))
def test_every_name_makes_a_name_of_an_index(name: str, prefix: str) -> None:
    index = index_name(prefix, name)
    assert 3 <= len(index) <= 63
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*[a-z0-9]", index)
    assert index.startswith(prefix)
    assert index != index_name(prefix, f"{name} ")


@given(st.text(alphabet="ab \n日", max_size=3000))
def test_a_cut_text_is_a_beginning_of_whole_words(text: str) -> None:
    cut = cut_text(text)
    assert len(cut) <= MOST_TEXT
    assert text.strip().startswith(cut)
    assert bool(cut) == bool(text[: MOST_TEXT + 1].strip())
    words = text.split()
    if words and len(words[0]) <= MOST_TEXT:
        assert cut.split() == words[: len(cut.split())]


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({}, "vector_bucket"),
        ({"vector_bucket": "A"}, "vector_bucket"),
        ({"vector_bucket": "arn:aws:s3:::bucket"}, "vector_bucket"),
        ({"vector_bucket": "abc", "index_prefix": "-a"}, "index_prefix"),
        ({"vector_bucket": "abc", "index_prefix": "a" * 21}, "index_prefix"),
        ({"vector_bucket": "abc", "kms_key_id": "alias/key"}, "kms_key_id"),
        ({"vector_bucket": "abc", "language": "la"}, "'en'"),
        ({"vector_bucket": "abc", "api_key": "k"}, "api_key"),
        ({"vector_bucket": "abc", "aws_access_key_id": "k"}, "together"),
    ],
)
def test_a_config_is_refused_with_what_is_wrong(values: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Config.model_validate(values)


def test_a_region_may_be_called_region() -> None:
    assert Config.model_validate({"vector_bucket": "abc", "region": "eu-west-1"}).region_name == "eu-west-1"
    assert Config.model_validate({"vector_bucket": "abc", "kms_key_id": ""}).kms_key_id is None
