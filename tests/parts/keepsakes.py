"""A document of every collection, as a principal of a stack would have it; each says `mark COLLECTION`, for what is to be in an export."""

from collections.abc import Sequence
from typing import Any

from core.frame.callers import Principal
from core.routing.policy import owner_list, owner_of
from core.services.agents.records import AgentRecord, SessionRecord, TurnRecord
from core.services.datasets.records import DatasetRecord, Segment
from core.services.files.records import FileRecord, PartRecord, UploadRecord
from core.services.prompts.records import PromptRecord, Version
from core.services.responses.recording.records import RunRecord
from core.services.responses.state.records import ConversationRecord, ResponseRecord, Turn
from core.services.vector_stores.records import BatchRecord, StoreRecord
from core.services.vector_stores.records import FileRecord as StoreFile
from core.services.webhooks.records import EndpointRecord, SealedSecret
from core.stores.documents.port import Document

SEALED = "sealed-and-never-told"
BLOBS = {"files/kept/k": "file", "uploads/1d/p": "upload_part", "datasets/f/a.jsonl": "dataset"}
"""The collection whose bytes are there."""
UNTOLD = {
    "batch_slot": "which job has which of the places that a caller has",
    "conversation_lease": "who is writing into a conversation now",
    "conversation_guest": "that there are turns in a conversation of another's, which are told",
    "dataset_owner": "tallies, and that rows are being written",
    "eval_agent": "that an evaluation has made an agent, which is told",
    "file_owner": "that there are files to be swept",
    "file_sweep": "where a sweep is",
    "file_use": "which stores a file is in, which say so themselves",
    "response_day": "tallies",
    "seal_key": "the stack's",
    "vector_store_owner": "tallies",
    "webhook_key": "the stack's",
}
"""Collections of which an export has nothing, and what is in them."""


def mark(collection: str) -> str:
    return f"mark {collection}."


def keepsakes(principal: Principal, provider: str) -> list[Document]:
    """`provider` is the one that has the vector stores. What is above others comes first."""
    mine, owner = owner_list(principal), owner_of(principal)
    other = owner_of(Principal("bob", {}, "custom x"))

    def of(collection: str, name: str, body: Any, parent: str = mine, by: Any = owner) -> Document:
        return Document(collection, name, body, parent, by, created=1)

    def said(text: str, owner: Any = None) -> Any:
        item = {"type": "message", "role": "user", "content": text, "id": "msg_1"}
        return Turn([item], 1, owner=owner).body()

    return [
        *_files(of),
        *_stores(of, provider),
        of("chat_completion", "chatcmpl-1", _chat()),
        of("batch", "batch_1", {"provider": "p", "request": {"metadata": {"m": mark("batch")}}}),
        of("batch_slot", f"{mine}#0", {"job": "j", "at": 1}),
        of("eval_run", "run_1", {"provider": "p", "benchmark": mark("eval_run"), "job": "j"}),
        of("eval_count", "count_1", {"benchmark": mark("eval_count"), "next": 1, "keys": {}}),
        of("eval_agent", "agent_9", {}, ""),
        of("agent", "agent_1", AgentRecord({"model": "m", "instructions": mark("agent")}).body()),
        of("conversation", "conv_1", ConversationRecord({"m": mark("conversation")}, agent="agent_1").body()),
        of("conversation_lease", "conv_1", {}, "conv_1"),
        of("agent_session", "conv_1", SessionRecord(mark("agent_session")).body(), "agent_1"),
        of("agent_turn", "resp_9", TurnRecord({"turn_id": mark("agent_turn")}, state={"s": SEALED}).body(), "conv_1"),
        of("thread_turn", "conv_1.00000000", said("own"), "conv_1", None),
        of("conversation", "conv_2", ConversationRecord({}).body(), owner_list(Principal("bob", {}, "custom x")), other),
        of("conversation_guest", f"conv_2:{1:064}", {}),
        of("thread_turn", "conv_2.00000000", said("of bob", None), "conv_2", None),
        of("thread_turn", "conv_2.00000001", said(mark("thread_turn"), owner), "conv_2", None),
        of("response", "resp_1", ResponseRecord({"id": "resp_1", "m": mark("response")}, [("resp_1", 0)]).body()),
        of("thread_turn", "resp_1.00000000", Turn([{"type": "message"}], 1, "resp_1").body(), "resp_1", None),
        of("response_run", "resp_2", RunRecord({"m": mark("response_run")}, mine, request=SEALED).body()),
        of("response_log", "resp_2.00000000", {"at": 1, "by": "x", "entries": [["t", mark("response_log")]]}, "resp_2"),
        of("prompt", "pmpt_1", PromptRecord(Version(2, mark("prompt"), []), Version(2, mark("prompt"), [])).body()),
        of("prompt_version", "pmpt_1.000001", Version(1, mark("prompt_version"), []).body(), "pmpt_1"),
        of("webhook_endpoint", "we_1", _endpoint()),
    ]  # fmt: skip


def _endpoint() -> Any:
    secrets = [SealedSecret(SEALED)]
    return EndpointRecord(mark("webhook_endpoint"), "https://x.example", ["batch.completed"], secrets, "…ab", 1).body()


def _files(of: Any) -> Sequence[Document]:
    size = {name: len(mark(name)) + 1 for name in BLOBS.values()}
    segments = [Segment("datasets/f/a.jsonl", 1, size["dataset"]).body()]
    dataset = DatasetRecord("p", "eval/messages-answer", {"type": "rows"}, {}, "f", "d", segments=segments)
    return [
        of("file", "file-1", FileRecord("a.txt", "assistants", size["file"], "blobs", "files/kept/k").body()),
        of("upload", "upload_1", UploadRecord(mark("upload"), "assistants", 99, "text/plain", 4_000_000_000, None).body()),
        of("upload_part", "part_1", PartRecord("blobs", "uploads/1d/p", size["upload_part"]).body(), "upload_1"),
        of("dataset", "dataset/1", dataset.body(), ""),
    ]  # fmt: skip


def _stores(of: Any, provider: str) -> Sequence[Document]:
    store = StoreRecord(provider, "idx", "words", 64, name=mark("vector_store"))
    return [
        of("vector_store", "vs_1", store.body(), ""),
        of("vector_store_file", "vs_1:file-1", StoreFile(filename=mark("vector_store_file")).body(), "vs_1"),
        of("vector_store_batch", "vsfb_1", BatchRecord([{"file_id": mark("vector_store_batch")}]).body(), "vs_1"),
    ]


def _chat() -> Any:
    return {"answer": {"id": "chatcmpl-1"}, "messages": [{"content": mark("chat_completion")}], "metadata": {}}
