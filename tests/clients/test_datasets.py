"""The real clients' calls of datasets, against `llambda serve`."""

from collections.abc import Generator
import json

import pytest

from tests.clients.running import check, params
from tests.parts.stack import serving

FAMILY = ("llama-stack-client-0.2", "llama-stack-client-0.7")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder = tmp_path_factory.mktemp("datasets")
    document = {
        "version": 2,
        "image_name": "t",
        "apis": ["datasetio"],
        "providers": {"datasetio": [{"provider_id": "localfs", "provider_type": "inline::localfs", "config": {}}]},
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
    }
    (folder / "run.json").write_text(json.dumps(document))
    with serving(folder / "run.json", folder / "log.txt") as url:
        yield url


@pytest.mark.parametrize("client", params(FAMILY))
def test_a_real_clients_calls_of_datasets_work(url: str, client: str) -> None:
    check(client, "tests.clients.scripts.datasets", url)
