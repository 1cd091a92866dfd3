"""The real clients' calls of files, against `llambda serve` with a bucket of a double of S3."""

from collections.abc import Generator
from pathlib import Path
import uuid

import pytest

from infra.local.dynamodb import CREDENTIALS
from tests.clients.running import check, params
from tests.parts.moto import aws_client
from tests.parts.stack import serving

CONFIG = """
version: 2
image_name: files
apis: [files]
providers:
  files:
    - provider_id: s3
      provider_type: "remote::s3"
      config: {bucket_name: "${env.BUCKET}", region: us-east-1, endpoint_url: "${env.S3}"}
metadata_store: {type: sqlite, db_path: "${env.FOLDER}/registry.db"}
server: {max_upload_bytes: 6291456}
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, moto_endpoint: str) -> Generator[str]:
    folder, bucket = tmp_path_factory.mktemp("files"), f"files-{uuid.uuid4().hex}"
    with aws_client("s3", moto_endpoint) as s3:
        s3.create_bucket(Bucket=bucket)
    (folder / "run.yaml").write_text(CONFIG, "utf-8")
    env = {"BUCKET": bucket, "S3": moto_endpoint, "FOLDER": str(folder), **CREDENTIALS}
    with serving(folder / "run.yaml", folder / "log.txt", env=env) as url:
        yield url


@pytest.mark.parametrize("client", params())
def test_a_real_clients_calls_of_files_work(url: str, client: str) -> None:
    check(client, "tests.clients.scripts.files", url)


@pytest.mark.exact
def test_openais_client_waits_for_a_file_that_a_job_puts_together(tmp_path: Path) -> None:
    provider = """{provider_id: local, provider_type: "inline::localfs", config: {}}"""
    lines = CONFIG.partition("    - provider_id")[0] + f"    - {provider}\n" + CONFIG[CONFIG.index("metadata_store") :]
    (tmp_path / "run.yaml").write_text(lines, "utf-8")
    with serving(tmp_path / "run.yaml", tmp_path / "log.txt", env={"FOLDER": str(tmp_path)}) as url:
        check("openai-3", "tests.clients.scripts.large_files", url)
