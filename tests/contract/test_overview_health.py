"""Health on Lambda, where the function that looks at providers has none of the rights of those that use them."""

from collections.abc import AsyncIterator
from typing import Any, override

from aiohttp import web
import pytest

from core.providers.aws_lambda import tool_runtime
from core.providers.aws_lambda.config import Config as LambdaConfig
from core.providers.datasets import s3 as rows
from core.providers.files import s3 as files
from core.providers.s3_vectors import vector_io
from core.providers.s3_vectors.config import Config as VectorsConfig
from tests.parts.upstream import FakeUpstream, running

KEYS = {"aws_access_key_id": "AKIAOWN", "aws_secret_access_key": "own"}


class Refusing(FakeUpstream):
    """AWS, which knows who calls, and allows nothing."""

    @override
    async def reply(self, request: web.Request) -> web.StreamResponse:
        del request
        return web.json_response({"message": "no"}, status=403, headers={"x-amzn-errortype": "AccessDeniedException"})


@pytest.fixture
async def aws() -> AsyncIterator[str]:
    async with running(Refusing()) as upstream:
        yield upstream.url


def provider_of(kind: str, url: str, **own: str) -> Any:
    place = {"endpoint_url": url, **own}
    match kind:
        case "files":
            return files.connect(
                "p", files.Config.model_validate({"bucket_name": "files", "region": "us-east-1", **place}), {}
            )
        case "datasetio":
            return rows.connect(
                "p", rows.Config.model_validate({"bucket_name": "rows", "region": "us-east-1", **place}), {}
            )
        case "vector_io":
            of_bucket = {"vector_bucket": "vectors", "region_name": "us-east-1", **place}
            return vector_io.connect("p", VectorsConfig.model_validate(of_bucket), {})
        case _:
            function = {
                "function": "orders",
                "tools": [{"name": "run", "description": "", "input_schema": {"type": "object"}}],
            }
            config = LambdaConfig.model_validate({"functions": [function], "region_name": "us-east-1", **place})
            return tool_runtime.connect("p", config, {})


@pytest.mark.usefixtures("aws_credentials")
@pytest.mark.parametrize("kind", ["files", "datasetio", "vector_io", "tool_runtime"])
async def test_what_is_refused_to_the_function_that_looks_is_not_checked_and_no_error(
    kind: str, aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def health(**own: str) -> tuple[str, str]:
        provider = provider_of(kind, aws, **own)
        told = await provider.health()
        await provider.close()
        return told["status"], told["message"]

    assert (await health())[0] == "Error"  # on a machine of one's own it is one
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "admin")
    status, message = await health()
    assert (status, message.startswith("Not checked: AWS answers, but refuses the function")) == (
        "Not Implemented",
        True,
    )
    assert (await health(**KEYS))[0] == "Error"  # they are the provider's, whoever looks
