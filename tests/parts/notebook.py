"""An API that uses all that an operation can carry, over blobs in a folder: its rows, its service, and what serves it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
import sys
from typing import Annotated, Any, Literal, Protocol, TypedDict

from pydantic import Field
from starlette.applications import Starlette

from core.config.document import RunConfig
from core.errors import ApiError, NotFound, StaleRevision, UpstreamFailed
from core.frame.api import Api, SurfaceFactory, route_rows
from core.frame.api import Surface as SurfaceRow
from core.frame.callers import CURRENT_CALL, Call
from core.frame.content import Blob, Bytes, PresignedRequest, Redirect, UploadedFile
from core.frame.operations import Operation, Upload
from core.frame.types import EventSource, JsonObject, NamedEvent, Query, Wire
from core.stores.blobs.port import CHUNK
from core.web.app import build_app
from core.web.observed import Sink

LIMIT = 12 * 1024 * 1024


class NewNote(Wire):
    text: str


class NewFile(Wire):
    """`expires` is an object, as OpenAI's client sends one in a form."""

    purpose: Literal["assistants", "batch"]
    pages: Annotated[int, Field(ge=1)] = 1
    tags: list[str] = Field(default_factory=list[str])
    expires: dict[str, int | str] | None = None


class NewRun(Wire):
    count: int = 3
    stream: bool = False


class NoteQuery(Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "asc"
    include: list[str] = Field(default_factory=list[str])
    exact: bool = False
    filter: dict[str, str] | None = None


class RunQuery(Query):
    stream: bool = False
    starting_after: int | None = None
    last_event_id: str | None = None


class Note(TypedDict):
    folder_id: str
    text: str


class Files(Protocol):
    async def create(self, request: NewNote, folder_id: str, *, query: NoteQuery) -> JsonObject: ...

    async def replace(self, request: NewNote, note_id: str) -> JsonObject: ...

    async def change(self, request: NewNote, note_id: str) -> JsonObject: ...

    async def remove(self, note_id: str) -> None: ...

    async def upload(self, request: NewFile, folder_id: str, *, upload: UploadedFile) -> JsonObject: ...

    async def upload_all(self, *, upload: tuple[UploadedFile, ...]) -> JsonObject: ...

    async def content(self, file_id: str) -> Bytes | Redirect: ...

    async def run(self, request: NewRun) -> JsonObject: ...

    async def stream_run(self, request: NewRun) -> EventSource: ...

    async def show_run(self, run_id: str, *, query: RunQuery) -> JsonObject: ...

    async def resume_run(self, run_id: str, *, query: RunQuery) -> EventSource: ...


def tell_failure(failure: ApiError, last: NamedEvent | None) -> NamedEvent:
    number = int(last.id) + 1 if last is not None else 0
    return NamedEvent("run.failed", {"code": failure.code, "sequence_number": number}, str(number))


HERE = "tests.parts.notebook:"
OPERATIONS = (
    Operation(
        "POST",
        ("/v1/folders/{folder_id}/notes",),
        "create",
        "Create a note.",
        request=f"{HERE}NewNote",
        query=f"{HERE}NoteQuery",
        response=f"{HERE}Note",
        status=201,
        idempotent=True,
    ),
    Operation("PUT", ("/v1/notes/{note_id}",), "replace", "Replace.", request=f"{HERE}NewNote", response=f"{HERE}Note"),
    Operation("PATCH", ("/v1/notes/{note_id}",), "change", "Change.", request=f"{HERE}NewNote", response=f"{HERE}Note"),
    Operation("DELETE", ("/v1/notes/{note_id}",), "remove", "Remove.", reply="none"),
    Operation(
        "POST",
        ("/v1/folders/{folder_id}/files",),
        "upload",
        "Upload a file.",
        request=f"{HERE}NewFile",
        upload=Upload("notebook"),
        response=f"{HERE}Note",
    ),
    Operation(
        "POST",
        ("/v1/files",),
        "upload_all",
        "Upload up to three files.",
        upload=Upload("notebook", most=3, required=False),
        response=f"{HERE}Note",
    ),
    Operation("GET", ("/v1/files/{file_id:path}",), "content", "Download.", reply="bytes"),
    Operation(
        "POST",
        ("/v1/runs",),
        "run",
        "Run.",
        request=f"{HERE}NewRun",
        response=f"{HERE}Note",
        stream="stream_run",
        event=f"{HERE}Note",
        frames="events",
        failure=f"{HERE}tell_failure",
        idempotent=True,
    ),
    Operation(
        "GET",
        ("/v1/runs/{run_id}",),
        "show_run",
        "Show a run, or what it does.",
        query=f"{HERE}RunQuery",
        response=f"{HERE}Note",
        stream="resume_run",
        event=f"{HERE}Note",
        frames="events",
    ),
)
NOTEBOOK = Api("notebook", (SurfaceRow("notebook", f"{HERE}Files", OPERATIONS),), assemble=f"{HERE}assemble")


@dataclass
class FolderBlobs:
    """A BlobStore of one process; `down` makes every call fail."""

    folder: Path
    down: bool = False
    media_types: dict[str, str] = field(default_factory=dict[str, str])

    def _path(self, key: str) -> Path:
        if self.down:
            raise UpstreamFailed("The blobs are down.")
        return self.folder / key.replace("/", "#")

    async def put(
        self, key: str, content: bytes | AsyncIterator[bytes], *, media_type: str = "application/octet-stream"
    ) -> Blob:
        size = 0
        with self._path(key).open("wb") as file:
            if isinstance(content, bytes):
                size = file.write(content)
            else:
                async for chunk in content:
                    size += file.write(chunk)
        self.media_types[key] = media_type
        return Blob(key, size, media_type, "tag")

    async def head(self, key: str) -> Blob | None:
        path = self._path(key)
        return Blob(key, path.stat().st_size, self.media_types.get(key, ""), "tag") if path.exists() else None

    async def read(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        path = self._path(key)
        if not path.exists():
            raise NotFound(key)
        with path.open("rb") as file:
            file.seek(start)
            left = path.stat().st_size - start if stop is None else stop - start
            while left > 0 and (chunk := file.read(min(CHUNK, left))):
                left -= len(chunk)
                yield chunk

    async def delete(self, *keys: str) -> None:
        for key in keys:
            self._path(key).unlink(missing_ok=True)

    async def old_keys(self, prefix: str, *, before: float) -> list[str]:
        raise NotImplementedError(prefix, before)

    async def delete_below(self, prefix: str) -> int:
        raise NotImplementedError(prefix)

    async def download_url(
        self, key: str, *, seconds: int, filename: str = "", media_type: str = ""
    ) -> PresignedRequest | None:
        raise NotImplementedError(key, seconds, filename, media_type)

    async def upload_url(self, key: str, *, seconds: int, size: int, media_type: str) -> PresignedRequest | None:
        raise NotImplementedError(key, seconds, size, media_type)

    def warm(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def keys(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@dataclass
class Notebook:
    """Answers `Files`; `calls` has the current call at each step, `fails` what the next method raises."""

    blobs: FolderBlobs
    calls: list[Call | None] = field(default_factory=list[Call | None])
    fails: Exception | None = None
    waits: asyncio.Event | None = None
    closed: int = 0

    async def _step(self) -> None:
        self.calls.append(CURRENT_CALL.get())
        if self.waits is not None:
            await self.waits.wait()
        if self.fails is not None:
            raise self.fails

    async def create(self, request: NewNote, folder_id: str, *, query: NoteQuery) -> JsonObject:
        await self._step()
        return {"folder_id": folder_id, "text": request.text, "query": query.model_dump()}

    async def replace(self, request: NewNote, note_id: str) -> JsonObject:
        await self._step()
        raise StaleRevision(f"Note {note_id}", {"text": request.text})

    async def change(self, request: NewNote, note_id: str) -> JsonObject:
        return {"folder_id": note_id, "text": request.text}

    async def remove(self, note_id: str) -> None:
        await self._step()
        del note_id

    async def upload(self, request: NewFile, folder_id: str, *, upload: UploadedFile) -> JsonObject:
        await self._step()
        about = {name: getattr(upload, name) for name in UploadedFile.__slots__}
        return {"folder_id": folder_id, "text": "", "fields": request.model_dump(), **about}

    async def upload_all(self, *, upload: tuple[UploadedFile, ...]) -> JsonObject:
        await self._step()
        return {"folder_id": "", "text": " ".join(file.filename for file in upload)}

    async def content(self, file_id: str) -> Bytes | Redirect:
        await self._step()
        if file_id.startswith("elsewhere"):
            return Redirect("https://elsewhere.example/a b?signature=secret&x=%2F")
        if file_id == "short":
            return Bytes(lambda *_: self.blobs.read("short"), 1_000_000)
        blob = await self.blobs.head(file_id)
        if blob is None:
            raise NotFound(file_id)

        async def read(start: int, stop: int) -> AsyncIterator[bytes]:
            async for chunk in self.blobs.read(file_id, start=start, stop=stop):
                self.calls.append(CURRENT_CALL.get())
                yield chunk

        return Bytes(read, blob.size, blob.media_type, 'sum "2026" é a.txt', blob.etag)

    async def run(self, request: NewRun) -> JsonObject:
        return {"folder_id": "", "text": str(request.count)}

    async def stream_run(self, request: NewRun) -> EventSource:
        await self._step()
        return self._events(0, request.count)

    async def show_run(self, run_id: str, *, query: RunQuery) -> JsonObject:
        return {"folder_id": run_id, "text": str(query.starting_after)}

    async def resume_run(self, run_id: str, *, query: RunQuery) -> EventSource:
        del run_id
        after = query.last_event_id if query.last_event_id is not None else query.starting_after
        return self._events(0 if after is None else int(after) + 1, 3)

    async def _events(self, start: int, count: int) -> EventSource:
        try:
            for number in range(start, count):
                await asyncio.sleep(0)
                self.calls.append(CURRENT_CALL.get())
                yield NamedEvent("run.step", {"sequence_number": number}, str(number))
            if self.fails is not None:
                raise self.fails
        finally:
            self.calls.append(CURRENT_CALL.get())
            self.closed += 1


@dataclass
class ServedNotebook:
    """What the web serves the notebook from."""

    notebook: Notebook
    blobs: FolderBlobs | None
    authenticator: Any = None
    admission: Any = None
    stream_limit: Any = None
    issuers: tuple[str, ...] = ()
    answers: Any = None
    server: dict[str, Any] = field(default_factory=dict[str, Any])
    registries: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def surfaces(self) -> Mapping[str, SurfaceFactory]:
        return {"notebook": lambda _: self.notebook}

    @property
    def config(self) -> RunConfig:
        store = {"type": "sqlite", "db_path": "x"}
        server = {"max_upload_bytes": LIMIT, **self.server}
        return RunConfig.model_validate({"version": 2, "name": "t", "metadata_store": store, "server": server})

    async def close(self) -> None:
        return None


def notebook_app(served: ServedNotebook, sink: Sink | None = None) -> Starlette:
    return build_app(list(route_rows(NOTEBOOK)), served, sink)


def served_notebook(folder: Path, **more: Any) -> ServedNotebook:
    folder.mkdir(exist_ok=True)
    blobs = FolderBlobs(folder)
    return ServedNotebook(Notebook(blobs), blobs, **more)


def main(folder: str, upload_limit: str) -> None:
    """Serve it, as `llambda serve` would, with what is on the command line; its address is the first line."""
    from core.config.document import ServerConfig
    from core.runtime.fast_loop import fast_loop
    from core.runtime.loop import process_loop
    from core.runtime.server import listen, serve, url_of
    from core.web.app import union
    from core.web.hosts import host_check

    process_loop(fast_loop())
    app = notebook_app(served_notebook(Path(folder), server={"max_upload_bytes": int(upload_limit)}))
    listener = listen("127.0.0.1", 0)
    serve(
        union([app], check_host=host_check(ServerConfig())),
        ServerConfig(),
        listener,
        lambda: print(url_of(listener, tls=False), flush=True),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
