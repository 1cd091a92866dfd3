"""Images, documents, audio and video: what the bytes are, whatever the label says, and base64 as programs write it."""

from base64 import b64encode, urlsafe_b64encode
import textwrap

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.inference import ChatRequest
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.media import bytes_of, to_audio, to_document, to_image, to_video
from core.providers.bedrock.converse.request import to_converse

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF"
GIF = b"GIF89a\1\0\1\0"
WEBP = b"RIFF\x24\0\0\0WEBPVP8 "
DOCX = b"PK\x03\x04\x14\0\x06\0[Content_Types].xml word/document.xml"
XLSX = b"PK\x03\x04\x14\0\x06\0[Content_Types].xml xl/workbook.xml"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0"


def base64(content: bytes) -> str:
    return b64encode(content).decode()


def image(url: str) -> JsonObject:
    block: JsonObject = to_image({"type": "image_url", "image_url": {"url": url}}, "p")["image"]
    return block


def document(data: str, filename: str | None = None) -> JsonObject:
    block: JsonObject = to_document({"type": "file", "file": {"filename": filename, "file_data": data}}, "p")[
        "document"
    ]
    return block


@pytest.mark.parametrize(
    ("content", "wanted"), [(PNG, "png"), (JPEG, "jpeg"), (GIF, "gif"), (b"GIF87a", "gif"), (WEBP, "webp")]
)
@pytest.mark.parametrize(
    "label",
    [
        "image/png;base64",
        "image/jpg;base64",
        "IMAGE/JPEG;BASE64",
        "image/webp;charset=utf-8;base64",
        "image/png; base64",
        "application/octet-stream;base64",
        ";base64",
        "base64",
        "image/*;base64",
        "image/png",
        "",
    ],
)
def test_the_bytes_of_an_image_decide_its_format(content: bytes, wanted: str, label: str) -> None:
    assert image(f"data:{label},{base64(content)}") == {"format": wanted, "source": {"bytes": content}}


def test_a_data_url_without_base64_has_its_bytes_percent_encoded() -> None:
    assert image("data:image/gif,GIF89a%01%00%01%00")["source"]["bytes"] == GIF
    assert document("data:text/plain,Hello%20world%2B")["source"]["bytes"] == b"Hello world+"


@given(st.binary(min_size=1, max_size=200), st.integers(1, 80))
def test_base64_is_read_as_programs_write_it(content: bytes, width: int) -> None:
    plain = base64(content)
    for written in (
        plain,
        plain.rstrip("="),
        "\r\n".join(textwrap.wrap(plain, width)),
        f"  {plain} \n",
        urlsafe_b64encode(content).decode(),
        urlsafe_b64encode(content).decode().rstrip("="),
        plain.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
    ):
        assert bytes_of(written, "p") == content


@pytest.mark.parametrize("data", ["", " ", "=", "e!A==", "é", "eAAAA", "data"[:1], "\0"])
def test_what_is_no_base64_or_nothing_is_refused(data: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        bytes_of(data, "p")
    assert refusal.value.param == "p"


@pytest.mark.parametrize(
    "url",
    [
        "data:image/svg+xml;base64,PHN2Zz4=",
        "data:image/svg+xml,<svg/>",
        f"data:application/pdf;base64,{base64(b'%PDF-1.7')}",
        base64(PNG),
        "s3://bucket/cat.png",
        "data:image/png;base64,",
        "data:",
    ],
)
def test_what_is_no_image_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        image(url)
    assert refusal.value.param == "p.image_url.url"


@pytest.mark.parametrize(
    ("content", "label", "filename", "wanted"),
    [
        (b"%PDF-1.7", "text/plain", None, "pdf"),
        (b"%PDF-1.7", "application/octet-stream", "a.docx", "pdf"),
        (DOCX, "application/zip", None, "docx"),
        (XLSX, "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "a.docx", "xlsx"),
        (OLE, "application/vnd.ms-excel", None, "xls"),
        (OLE, "application/octet-stream", "a.xls", "xls"),
        (OLE, "application/octet-stream", None, "doc"),
        (b"a,b\n", "text/csv", None, "csv"),
        (b"a,b\n", "text/plain", "a.csv", "csv"),
        (b"# a\n", "", "notes.MD", "md"),
        (b"# a\n", "text/x-markdown", None, "txt"),
        (b'{"a": 1}', "application/json", "a.json", "txt"),
        (b"a: 1", "application/x-yaml", None, "txt"),
        ("é".encode(), "application/octet-stream", "README", "txt"),
        ("é".encode(), "", None, "txt"),
    ],
)
def test_a_documents_format_is_that_of_its_bytes_its_label_or_its_name(
    content: bytes, label: str, filename: str | None, wanted: str
) -> None:
    assert document(f"data:{label};base64,{base64(content)}", filename)["format"] == wanted


def test_a_document_may_come_as_base64_alone() -> None:
    assert document(base64(b"%PDF-1.7"), "a.pdf") == {"format": "pdf", "name": "a", "source": {"bytes": b"%PDF-1.7"}}


@pytest.mark.parametrize(
    ("data", "param"),
    [
        (f"data:application/octet-stream;base64,{base64(b'a' + bytes(1))}", "p.file.file_data"),
        (f"data:image/png;base64,{base64(PNG)}", "p.file.file_data"),
        ("https://example.com/a.pdf", "p.file.file_data"),
    ],
)
def test_what_is_no_document_is_refused(data: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        document(data)
    assert refusal.value.param == param


@pytest.mark.parametrize(
    ("content", "label", "wanted"),
    [
        (b"RIFF\x24\0\0\0WAVEfmt ", "mp3", "wav"),
        (b"ID3\x04", "wav", "mp3"),
        (b"\xff\xfb\x90", "mp3", "mp3"),
        (b"OggS", None, "ogg"),
        (b"\0\1\2", "pcm", "pcm"),
    ],
)
def test_audio_is_what_its_bytes_say(content: bytes, label: str | None, wanted: str) -> None:
    part = {"type": "input_audio", "input_audio": {"data": base64(content), "format": label}}
    assert to_audio(part, "p") == {"audio": {"format": wanted, "source": {"bytes": content}}}


@pytest.mark.parametrize("label", [None, "midi", 5])
def test_audio_of_no_known_kind_is_refused(label: object) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        to_audio({"type": "input_audio", "input_audio": {"data": base64(b"\0\1"), "format": label}}, "p")
    assert refusal.value.param == "p.input_audio.format"


@pytest.mark.parametrize(
    ("content", "label", "wanted"),
    [
        (b"\0\0\0\x18ftypmp42", "video/webm", "mp4"),
        (b"\0\0\0\x14ftypqt  ", "", "mov"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86webm", "video/mp4", "webm"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86matroska", "", "mkv"),
        (b"????", "video/x-flv", "flv"),
    ],
)
def test_video_is_what_its_bytes_say(content: bytes, label: str, wanted: str) -> None:
    part = {"type": "video_url", "video_url": {"url": f"data:{label};base64,{base64(content)}"}}
    assert to_video(part, "p") == {"video": {"format": wanted, "source": {"bytes": content}}}


AUDIO: JsonObject = {"type": "input_audio", "input_audio": {"data": base64(b"ID3\x04"), "format": "mp3"}}
VIDEO: JsonObject = {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{base64(b'????ftypmp42')}"}}


@pytest.mark.parametrize(
    ("model", "part", "kind"),
    [
        ("us.amazon.nova-pro-v1:0", VIDEO, "video"),
        ("mistral.voxtral-small-24b-2507", AUDIO, "audio"),
        ("somebodys-own", AUDIO, "audio"),
    ],
)
def test_a_model_hears_and_sees_what_it_can(model: str, part: JsonObject, kind: str) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "hi"}, part]}]
    body = to_converse(ChatRequest.model_validate({"model": model, "messages": messages}))
    assert kind in body["messages"][0]["content"][1]


@pytest.mark.parametrize("part", [AUDIO, VIDEO])
@pytest.mark.parametrize("model", ["us.anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.nova-micro-v1:0"])
def test_what_a_model_cannot_hear_or_see_is_refused_by_its_path(model: str, part: JsonObject) -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "user", "content": [{"type": "text", "text": "a"}, part]}]
    with pytest.raises(InvalidRequest, match="this model does not take") as refusal:
        to_converse(ChatRequest.model_validate({"model": model, "messages": messages}))
    assert refusal.value.param == "messages[1].content[1].type"


def test_only_users_and_tools_show_something() -> None:
    messages = [{"role": "system", "content": [AUDIO]}]
    with pytest.raises(InvalidRequest) as refusal:
        to_converse(ChatRequest.model_validate({"model": "m", "messages": messages}))
    assert refusal.value.param == "messages[0].content[0].type"
