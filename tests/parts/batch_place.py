"""A run config with batches over an upstream of rows, whose state is in a file and a folder, or in a table, a queue and a bucket."""

from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any, Final

import pytest

MODEL: Final = "m"
PLACES: Final = ("sqlite", pytest.param("aws", marks=pytest.mark.exact))
"""Of a fixture that gives `place_of`."""


@dataclass(frozen=True, slots=True)
class BatchPlace:
    """As `tests.parts.job_process.JobPlace`."""

    folder: Path
    table: str = ""
    dynamodb: str = ""
    queue: str = ""
    bucket: str = ""
    moto: str = ""

    def document(self, upstream: str, *, at_once: int | None = None, **more: Any) -> dict[str, Any]:
        """`upstream` is the address of a server of OpenAI's chat completions, without `/v1`."""
        batches = {} if at_once is None else {"max_concurrent_requests_per_batch": at_once}
        providers = {
            "inference": ("remote::vllm", {"url": f"{upstream}/v1"}),
            "files": self._files(),
            "batches": ("inline::reference", batches),
            "datasetio": ("inline::localfs", {}),
        }
        return {
            "version": 2,
            "image_name": "batches",
            "apis": list(providers),
            "providers": {
                api: [{"provider_id": api, "provider_type": type_, "config": config}]
                for api, (type_, config) in providers.items()
            },
            "models": [{"model_id": MODEL, "provider_id": "inference", "provider_model_id": MODEL}],
            "metadata_store": {"type": "sqlite", "db_path": str(self.folder / "registry.db")},
            "storage": self._storage(),
            **more,
        }

    def write(self, name: str, document: dict[str, Any]) -> str:
        """The path of a run config."""
        path = self.folder / name
        path.write_text(json.dumps(document))
        return str(path)

    def _files(self) -> tuple[str, dict[str, Any]]:
        if not self.table:
            return "inline::localfs", {"storage_dir": str(self.folder / "files")}
        config = {"bucket_name": self.bucket, "region": "us-east-1", "endpoint_url": self.moto}
        return "remote::s3", config

    def _storage(self) -> dict[str, Any]:
        folder = self.folder
        if not self.table:
            file = {"type": "kv_sqlite", "db_path": str(folder / "state.db")}
            backends = {"state": file, "queue": file, "blobs": {"type": "blob_local", "path": str(folder / "blobs")}}
        else:
            where = {"region": "eu-central-1", "endpoint_url": self.dynamodb}
            moto = {"region": "us-east-1", "endpoint_url": self.moto}
            backends = {
                "state": {"type": "kv_dynamodb", "table": self.table, **where},
                "queue": {"type": "queue_sqs", "url": self.queue, **moto},
                "blobs": {"type": "blob_s3", "bucket": self.bucket, **moto},
            }
        stores = {"documents": "state", "jobs": "state", "queue": "queue", "blobs": "blobs"}
        return {"backends": backends, "stores": {name: {"backend": backend} for name, backend in stores.items()}}


def place_of(request: pytest.FixtureRequest, folder: Path) -> BatchPlace:
    """A file and a folder, or DynamoDB, SQS and S3 as DynamoDB Local and moto have them."""
    if request.param == "sqlite":
        return BatchPlace(folder)
    return BatchPlace(
        folder,
        table=request.getfixturevalue("state_table"),
        dynamodb=request.getfixturevalue("dynamodb_endpoint"),
        queue=request.getfixturevalue("sqs_queue").url,
        bucket=request.getfixturevalue("bucket"),
        moto=request.getfixturevalue("moto_endpoint"),
    )
