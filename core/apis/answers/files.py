"""Files and uploads as a client gets them; times are Unix seconds."""

from typing import Literal, NotRequired, TypedDict


class UploadTarget(TypedDict):
    """A request that the file is sent with, once: its body are the bytes. The URL is a secret until `expires_at`."""

    method: str
    url: str
    headers: dict[str, str]
    expires_at: int


class FileObject(TypedDict):
    """A file; `uploaded` is one whose bytes are still to come, by `upload`."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["uploaded", "processed", "error"]
    status_details: str | None
    upload: NotRequired[UploadTarget]


class FileList(TypedDict):
    """A page; its ids are "" where it is empty."""

    object: Literal["list"]
    data: list[FileObject]
    has_more: bool
    first_id: str
    last_id: str


class FileDeleted(TypedDict):
    id: str
    object: Literal["file"]
    deleted: Literal[True]


class UploadObject(TypedDict):
    """An upload in parts; `file` is there once it is completed."""

    id: str
    object: Literal["upload"]
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: Literal["pending", "completed", "cancelled", "expired"]
    file: FileObject | None


class UploadPart(TypedDict):
    id: str
    object: Literal["upload.part"]
    created_at: int
    upload_id: str
