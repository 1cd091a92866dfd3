"""OpenAI's content parts as Converse's blocks: what is kept, what is left out, what is refused and by which path."""

from base64 import b64encode
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.content import PARTS, tell_apart, to_blocks, with_cache_point
from core.providers.bedrock.converse.media import DOCUMENTS

KINDS = frozenset(PARTS)
EPHEMERAL: JsonObject = {"type": "ephemeral"}
POINT: JsonObject = {"cachePoint": {"type": "default"}}


def data_url(media_type: str, content: bytes = b"x") -> str:
    return f"data:{media_type};base64,{b64encode(content).decode()}"


def text(words: str, **more: object) -> JsonObject:
    return {"type": "text", "text": words, **more}


def image(url: object) -> JsonObject:
    return {"type": "image_url", "image_url": {"url": url, "detail": "high"}}


def file(media_type: str, filename: object = None, content: bytes = b"x") -> JsonObject:
    return {"type": "file", "file": {"filename": filename, "file_data": data_url(media_type, content)}}


def named(filename: object) -> str:
    (block,) = to_blocks([file("application/pdf", filename)], "content", KINDS)
    name: str = block["document"]["name"]
    return name


def test_texts_stay_in_order_and_blank_ones_are_left_out() -> None:
    assert to_blocks("hello", "content", KINDS) == [{"text": "hello"}]
    assert to_blocks(" \n", "content", KINDS) == []
    assert to_blocks([], "content", KINDS) == []
    parts = [text(" a "), text(""), {"type": "refusal", "refusal": "no"}]
    assert to_blocks(parts, "content", KINDS) == [{"text": " a "}, {"text": "no"}]


@pytest.mark.parametrize(
    ("media_type", "wanted"),
    [
        ("image/png", "png"),
        ("image/jpeg", "jpeg"),
        ("image/jpg", "jpeg"),
        ("IMAGE/GIF", "gif"),
        ("image/webp;charset=x", "webp"),
    ],
)
def test_an_image_is_its_bytes(media_type: str, wanted: str) -> None:
    blocks = to_blocks([image(data_url(media_type, b"\x89PNG"))], "content", KINDS)
    assert blocks == [{"image": {"format": wanted, "source": {"bytes": b"\x89PNG"}}}]


@pytest.mark.parametrize(("media_type", "wanted"), DOCUMENTS.items())
def test_a_documents_format_is_that_of_its_media_type(media_type: str, wanted: str) -> None:
    blocks = to_blocks([file(media_type, "a.bin", b"%PDF")], "content", KINDS)
    assert blocks == [{"document": {"format": wanted, "name": "a bin", "source": {"bytes": b"%PDF"}}}]


def test_a_media_type_that_says_nothing_leaves_the_format_to_the_name() -> None:
    blocks = to_blocks([file("application/octet-stream", "Plan.XLSX")], "content", KINDS)
    assert blocks[0]["document"]["format"] == "xlsx"


@pytest.mark.parametrize(
    ("filename", "wanted"),
    [
        ("report.pdf", "report"),
        ("John's  report_v1.2.pdf", "John s report v1 2"),
        ("[a] (b)-c", "[a] (b)-c"),
        ("報告.pdf", "document"),
        (".pdf", "document"),
        ("", "document"),
        (None, "document"),
        ("x" * 500, "x" * 180),
        ("x" * 179 + " y", "x" * 179),
    ],
)
def test_a_documents_name_has_only_what_bedrock_takes(filename: object, wanted: str) -> None:
    assert named(filename) == wanted


@given(st.text())
def test_no_filename_makes_a_name_that_bedrock_refuses(filename: str) -> None:
    assert re.fullmatch(r"(?!.*\s\s)[A-Za-z0-9 ()\[\]-]{1,200}", named(filename))


@given(st.lists(st.sampled_from(["a", "A", "a (2)", "b"]), max_size=8))
def test_documents_of_one_name_are_told_apart_and_the_first_keeps_it(names: list[str]) -> None:
    documents: list[JsonObject] = [{"name": name} for name in names]
    tell_apart(documents)
    told = [document["name"].lower() for document in documents]
    assert len(set(told)) == len(names)
    assert told[:1] == [name.lower() for name in names[:1]]


@pytest.mark.parametrize(
    ("control", "wanted"),
    [
        (None, []),
        (EPHEMERAL, [POINT]),
        (EPHEMERAL | {"ttl": None}, [POINT]),
        (EPHEMERAL | {"ttl": "1h"}, [{"cachePoint": {"type": "default", "ttl": "1h"}}]),
    ],
)
def test_a_cache_control_is_a_cache_point_after_its_block(control: object, wanted: list[JsonObject]) -> None:
    blocks = to_blocks([text("a", cache_control=control), text("b")], "content", KINDS)
    assert blocks == [{"text": "a"}, *wanted, {"text": "b"}]


def test_no_cache_point_stands_alone_or_beside_another() -> None:
    assert to_blocks([text(" ", cache_control=EPHEMERAL)], "content", KINDS) == []
    assert with_cache_point([{"text": "a"}, POINT], {"cache_control": EPHEMERAL}, "m") == [{"text": "a"}, POINT]


@pytest.mark.parametrize("control", [True, {}, {"type": "forever"}, EPHEMERAL | {"ttl": "9y"}, EPHEMERAL | {"ttl": []}])
def test_a_cache_control_of_another_kind_is_refused(control: object) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        to_blocks([text("a", cache_control=control)], "content", KINDS)
    assert refusal.value.param == "content[0].cache_control"


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (None, "content"),
        (1, "content"),
        ({}, "content"),
        (["a"], "content[0]"),
        ([text("a"), {"type": "input_audio"}], "content[1].type"),
        ([{"type": ["text"]}], "content[0].type"),
        ([{"text": "a"}], "content[0].type"),
        ([{"type": "text", "text": 1}], "content[0].text"),
        ([{"type": "refusal", "text": "no"}], "content[0].refusal"),
        ([{"type": "image_url", "image_url": "data:"}], "content[0].image_url"),
        ([image(None)], "content[0].image_url.url"),
        ([image("file:///etc/passwd")], "content[0].image_url.url"),
        ([image("file:image/png;base64,eA==")], "content[0].image_url.url"),
        ([image("data:image/png,eA==")], "content[0].image_url.url"),
        ([image("data:image/png;base64,e!A==")], "content[0].image_url.url"),
        ([image("data:image/png;base64,é")], "content[0].image_url.url"),
        ([image("data:image/png;base64,")], "content[0].image_url.url"),
        ([image(data_url("image/svg+xml"))], "content[0].image_url.url"),
        ([{"type": "file"}], "content[0].file"),
        ([{"type": "file", "file": {"file_id": "file-1"}}], "content[0].file.file_id"),
        ([{"type": "file", "file": {"filename": "a.pdf"}}], "content[0].file.file_data"),
        ([file("application/pdf", 5)], "content[0].file.filename"),
        ([file("application/zip", "a.zip")], "content[0].file.file_data"),
    ],
)
def test_what_converse_does_not_take_is_refused_by_its_path(content: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        to_blocks(content, "content", KINDS)
    assert refusal.value.param == param
    assert refusal.value.message.startswith(f"{param}: ")


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "HTTPS://example.com/a.png"])
def test_a_remote_url_is_refused_with_what_to_do_and_not_repeated(url: str) -> None:
    with pytest.raises(
        InvalidRequest, match="remote URL, which is not fetched here; send the content as a data: URL"
    ) as r:
        to_blocks([image(url)], "content", KINDS)
    assert url not in r.value.message
