"""The real clients' calls of scoring, against `llambda serve`."""

from collections.abc import Generator
import json

import pytest

from infra.local import clients
from tests.clients.running import check, params
from tests.parts.score_stack import document, with_datasets
from tests.parts.stack import serving
from tests.parts.upstream import CHAT, FakeUpstream, in_thread, status

HAVE_SCORING = [name for name in clients.names() if name.startswith("llama-stack-client")]
ANSWER = {"index": 0, "message": {"role": "assistant", "content": "Score: 4"}, "finish_reason": "stop"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder = tmp_path_factory.mktemp("scoring")
    judge = FakeUpstream(models=[{"id": "m"}, {"id": "e"}])
    judge.replies["/v1/chat/completions"] = status(200, {**CHAT, "choices": [ANSWER]})
    basic = {"provider_id": "basic", "provider_type": "inline::basic", "config": {}}
    with in_thread(judge) as upstream:
        (folder / "run.json").write_text(json.dumps(with_datasets(document(upstream.url, folder, scoring=[basic]))))
        with serving(folder / "run.json", folder / "log.txt") as url:
            yield url


@pytest.mark.parametrize("client", params(HAVE_SCORING))
def test_a_real_clients_calls_of_scoring_work(url: str, client: str) -> None:
    check(client, "tests.clients.scripts.scoring", url)
