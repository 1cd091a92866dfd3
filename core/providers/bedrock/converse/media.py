"""Images, documents, audio and video as Converse's blocks. What the bytes say counts first, then the label. Pure.

Imported with the first of them. Sources: https://www.rfc-editor.org/rfc/rfc2397 (data URLs),
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html.
"""

from base64 import b64decode
import binascii
from collections.abc import Mapping, Sequence
import re
from typing import Any, Final
from urllib.parse import unquote, unquote_to_bytes

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.platform.json_values import is_list
from core.providers.bedrock.converse.families import Family
from core.providers.http.fields import invalid_field, object_at, text_at
from core.providers.http.media_types import image_kind

IMAGES: Final = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
DOCUMENTS: Final = {
    "application/pdf": "pdf",
    "application/msword": "doc",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
}
EXTENSIONS: Final = frozenset(DOCUMENTS.values())
PLAIN: Final = re.compile(
    r"|text/.*|application/(octet-stream|(.*\+)?(json|xml)|(x-)?(yaml|javascript|ndjson|toml|sh|sql))"
)
"""Labels of what may be read as plain text, if it is text."""
AUDIO: Final = (
    "aac",
    "flac",
    "m4a",
    "mka",
    "mkv",
    "mp3",
    "mp4",
    "mpeg",
    "mpga",
    "ogg",
    "opus",
    "pcm",
    "wav",
    "webm",
    "x-aac",
)
SOUNDS: Final[Mapping[str, re.Pattern[bytes]]] = {
    "wav": re.compile(rb"RIFF....WAVE", re.DOTALL),
    "mp3": re.compile(rb"ID3|\xff[\xfb\xf3\xf2]"),
    "flac": re.compile(rb"fLaC"),
    "ogg": re.compile(rb"OggS"),
}
VIDEOS: Final = {
    "video/3gpp": "three_gp",
    "video/mp4": "mp4",
    "video/mpeg": "mpeg",
    "video/mpg": "mpg",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/x-matroska": "mkv",
    "video/x-ms-wmv": "wmv",
}
FILMS: Final[Mapping[str, re.Pattern[bytes]]] = {
    "mov": re.compile(rb"....ftypqt", re.DOTALL),
    "three_gp": re.compile(rb"....ftyp3g", re.DOTALL),
    "mp4": re.compile(rb"....ftyp", re.DOTALL),
    "webm": re.compile(rb"\x1a\x45\xdf\xa3.{,60}webm", re.DOTALL),
    "mkv": re.compile(rb"\x1a\x45\xdf\xa3"),
    "flv": re.compile(rb"FLV"),
    "wmv": re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    "mpeg": re.compile(rb"\0\0\x01[\xb3\xba]"),
}
NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9()\[\]-]+")
MOST_NAME: Final = 180  # characters; Bedrock takes 200, the rest is for what tells equal names apart
NOT_BASE64: Final = "is not base64."
URL_SAFE: Final = str.maketrans("-_", "+/", "=")
REMOTE: Final = ("http://", "https://")


def bytes_of(data: str, path: str) -> bytes:
    """What a base64 string holds, which is something: of either alphabet, with or without padding and line breaks."""
    try:
        content = b64decode(data, validate=True)
    except ValueError:
        content = _decode_loosely(data, path)
    if not content:
        raise invalid_field(path, "is empty.")
    return content


def to_image(part: JsonObject, path: str) -> JsonObject:
    url_path = f"{path}.image_url.url"
    label, content, encoded = _data_url(object_at(part.get("image_url"), f"{path}.image_url").get("url"), url_path)
    kind = image_kind(content) or (IMAGES.get(label) if encoded else None)
    if not kind:
        raise invalid_field(url_path, "must be a data: URL of a PNG, JPEG, GIF or WebP image, whose content is base64.")
    return {"image": {"format": kind, "source": {"bytes": content}}}


def to_document(part: JsonObject, path: str) -> JsonObject:
    file_path = f"{path}.file"
    file = object_at(part.get("file"), file_path)
    if file.get("file_id") is not None:
        raise invalid_field(
            f"{file_path}.file_id", "uploaded files cannot be used here; send the content as file_data."
        )
    data_path = f"{file_path}.file_data"
    data = text_at(file.get("file_data"), data_path)
    label, content, _ = _data_url(data, data_path) if _has_scheme(data) else ("", bytes_of(data, data_path), True)
    filename = text_at(file["filename"], f"{file_path}.filename") if file.get("filename") else ""
    stem, _, extension = filename.rpartition(".")
    extension = extension.lower() if extension.lower() in EXTENSIONS else ""
    kind = _document_kind(label, extension, content)
    if not kind:
        raise invalid_field(data_path, f"must be a document of one of these kinds: {', '.join(sorted(EXTENSIONS))}.")
    name = NOT_IN_NAMES.sub(" ", stem if extension else filename).strip()[:MOST_NAME].strip() or "document"
    return {"document": {"format": kind, "name": name, "source": {"bytes": content}}}


def to_audio(part: JsonObject, path: str) -> JsonObject:
    """`input_audio`: its bytes, and the format that they or the caller say."""
    audio_path = f"{path}.input_audio"
    audio = object_at(part.get("input_audio"), audio_path)
    data = text_at(audio.get("data"), f"{audio_path}.data")
    _, content, _ = (
        _data_url(data, f"{audio_path}.data") if _has_scheme(data) else ("", bytes_of(data, audio_path), True)
    )
    label = audio.get("format")
    kind = _kind_in(SOUNDS, content) or (label.lower() if isinstance(label, str) else "")
    if kind not in AUDIO:
        raise invalid_field(f"{audio_path}.format", f"must be one of: {', '.join(AUDIO)}.")
    return {"audio": {"format": kind, "source": {"bytes": content}}}


def to_video(part: JsonObject, path: str) -> JsonObject:
    """`video_url`, as vLLM and OpenRouter have it; OpenAI has no video."""
    url_path = f"{path}.video_url.url"
    label, content, _ = _data_url(object_at(part.get("video_url"), f"{path}.video_url").get("url"), url_path)
    kind = _kind_in(FILMS, content) or VIDEOS.get(label)
    if not kind:
        raise invalid_field(url_path, f"must be a video of one of these kinds: {', '.join(sorted(VIDEOS))}.")
    return {"video": {"format": kind, "source": {"bytes": content}}}


def refuse_unheard(messages: Sequence[JsonObject], family: Family) -> None:
    """Raise InvalidRequest for the first audio or video that the model does not take."""
    takes = {"input_audio": family.audio, "video_url": family.video}
    for number, message in enumerate(messages):
        content = message.get("content")
        for position, part in enumerate(content if is_list(content) else ()):
            if not takes.get(part["type"], True):
                path = f"messages[{number}].content[{position}].type"
                raise invalid_field(path, f"this model does not take {part['type']} parts.")


def _decode_loosely(data: str, path: str) -> bytes:
    letters = "".join(unquote(data).split()).translate(URL_SAFE)
    try:
        return b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except (binascii.Error, ValueError) as invalid:
        raise invalid_field(path, NOT_BASE64) from invalid


def _has_scheme(data: str) -> bool:
    return ":" in data[:8]  # which base64 never has


def _data_url(url: Any, path: str) -> tuple[str, bytes, bool]:  # noqa: ANN401 - whatever a caller sent
    """The media type, without its parameters, the content, and whether the URL says that it is base64."""
    url = text_at(url, path).lstrip()
    if url[:8].lower().startswith(REMOTE):
        raise invalid_field(path, "is a remote URL, which is not fetched here; send the content as a data: URL.")
    head, _, data = url.partition(",")
    scheme, _, label = head.partition(":")
    if scheme.lower() != "data":
        raise invalid_field(path, "must be a data: URL whose content is base64.")
    media_type, *parameters = (word.strip().lower() for word in label.split(";"))
    if "base64" in (media_type, *parameters):
        return media_type, bytes_of(data, path), True
    return media_type, _plain_content(data, path), False


def _plain_content(data: str, path: str) -> bytes:
    """Percent-encoded, as the standard has it; base64 that is not said to be it, where an image or a document is in it."""
    try:
        content = bytes_of(data, path)
    except InvalidRequest:
        content = b""
    if image_kind(content) or _kind_of_bytes(content):
        return content
    return unquote_to_bytes(data)


def _document_kind(label: str, extension: str, content: bytes) -> str:
    by_label = DOCUMENTS.get(label, extension)
    if label == "text/plain" and extension:
        by_label = extension  # which says more: servers and browsers label Markdown and CSV so
    by_bytes = _kind_of_bytes(content)
    if by_bytes == "doc" and by_label == "xls":  # one container for both
        return by_label
    return by_bytes or by_label or ("txt" if PLAIN.fullmatch(label) and _is_text(content) else "")


def _kind_of_bytes(content: bytes) -> str:
    """Of documents whose bytes say what they are; "" for the others."""
    if content.startswith(b"%PDF-"):
        return "pdf"
    if content.startswith(b"PK\x03\x04"):
        return "docx" if b"word/" in content else "xlsx" if b"xl/" in content else ""
    return "doc" if content.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") else ""


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


def _kind_in(starts: Mapping[str, re.Pattern[bytes]], content: bytes) -> str:
    return next((kind for kind, start in starts.items() if start.match(content)), "")
