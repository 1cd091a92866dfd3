"""Files: what users upload, whole, in parts, or to a URL of the storage."""

from typing import Final

from core.frame.api import Api, Deployment, Eraser, JobRow, Surface
from core.frame.operations import Operation, Upload, openai_paths

STORE: Final = "core.services.files.storages:upload_store"
TOO_LARGE: Final = (
    "Send it in parts: client.uploads.upload_file_chunked(..., part_size={part}) does it with OpenAI's client, `llambda "
    "files upload` by itself."
)
PART_TOO_LARGE: Final = "Send smaller parts: upload_file_chunked(..., part_size={part})."

ONE_FILE: Final = openai_paths("/files/{file_id}")
FILES: Final = (
    Operation(
        "POST",
        openai_paths("/files"),
        "upload",
        "Upload a file, or ask where to send a large one.",
        request="core.apis.files:FileForm",
        response="core.apis.answers.files:FileObject",
        upload=Upload(
            "files",
            store=STORE,
            folder="core.services.files.storages:file_folder",
            json="core.apis.files:AnnouncedFile",
            advice=TOO_LARGE,
        ),
    ),
    Operation(
        "GET",
        openai_paths("/files"),
        "index",
        "List your files.",
        response="core.apis.answers.files:FileList",
        query="core.apis.files:ListFilesQuery",
    ),
    Operation("GET", ONE_FILE, "get", "Show a file.", response="core.apis.answers.files:FileObject"),
    Operation("DELETE", ONE_FILE, "delete", "Delete a file.", response="core.apis.answers.files:FileDeleted"),
    Operation("GET", openai_paths("/files/{file_id}/content"), "content", "Download a file.", reply="bytes"),
)

UPLOADS: Final = (
    Operation(
        "POST",
        openai_paths("/uploads"),
        "create",
        "Begin to upload a file in parts.",
        request="core.apis.files:NewUpload",
        response="core.apis.answers.files:UploadObject",
    ),
    Operation(
        "POST",
        openai_paths("/uploads/{upload_id}/parts"),
        "add_part",
        "Upload a part of a file.",
        response="core.apis.answers.files:UploadPart",
        upload=Upload(
            "uploads", "data", store=STORE, folder="core.services.files.storages:part_folder", advice=PART_TOO_LARGE
        ),
    ),
    Operation(
        "POST",
        openai_paths("/uploads/{upload_id}/complete"),
        "complete",
        "Put the parts of a file together.",
        request="core.apis.files:CompletedUpload",
        response="core.apis.answers.files:UploadObject",
    ),
    Operation(
        "POST",
        openai_paths("/uploads/{upload_id}/cancel"),
        "cancel",
        "Give up the upload of a file.",
        response="core.apis.answers.files:UploadObject",
        counted=False,
    ),
)

API: Final = Api(
    "files",
    surfaces=(
        Surface("files", "core.apis.files:Files", FILES),
        Surface("uploads", "core.apis.files:Uploads", UPLOADS),
    ),
    assemble="core.services.files.assemble:assemble",
    provider="core.apis.files:FilesProvider",
    stores=("documents", "blobs"),
    optional_stores=("jobs", "queue"),
    collections=("file", "upload", "upload_part", "file_owner", "file_sweep", "file_use"),
    eraser=Eraser(
        "core.services.files.erasing:erase",
        ("file", "upload", "upload_part", "file_owner", "file_sweep", "file_use"),
    ),
    jobs=(
        JobRow("file_assembly", "core.services.files.job:file_assembly"),
        JobRow("file_removal", "core.services.files.job:file_removal"),
    ),
    deployment=Deployment(rights=("FileBuckets",), switch="HasFiles"),
)
