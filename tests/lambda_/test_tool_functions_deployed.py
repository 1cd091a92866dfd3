"""A function of a Lambda that is not our double as a tool: paths, aliases, failures and dry runs as another has read AWS's documentation.

It hands no client context to a function: the real runtime of `test_tool_functions.py` does.
"""

from io import BytesIO
from zipfile import ZipFile

import pytest

from core.apis.tools import NO_ACCESS, ToolGroup
from core.errors import ProviderUnavailable
from core.providers.aws_lambda.config import Config
from core.providers.aws_lambda.tool_runtime import LambdaTools
from tests.lambda_.ministack import CREDENTIALS, REGION, Cloud

HANDLER = """
def handle(event, context):
    if "fail" in event:
        raise KeyError(event["fail"])
    return {"event": event}
"""
pytestmark = pytest.mark.exact
GROUP = ToolGroup("orders", "orders", trusted=True)
KEYS = {name.lower(): value for name, value in CREDENTIALS.items() if name != "AWS_DEFAULT_REGION"}


def deploy(cloud: Cloud) -> None:
    content = BytesIO()
    with ZipFile(content, "w") as package:
        package.writestr("orders.py", HANDLER)
    with cloud.client("lambda") as client:
        client.create_function(
            FunctionName="orders",
            Runtime="python3.13",
            Handler="orders.handle",
            Role="arn:aws:iam::000000000000:role/orders",
            Code={"ZipFile": content.getvalue()},
        )
        version = client.publish_version(FunctionName="orders")["Version"]
        client.create_alias(FunctionName="orders", Name="live", FunctionVersion=version)


async def test_a_deployed_function_is_called_by_its_name_and_its_alias(cloud: Cloud) -> None:
    deploy(cloud)
    tools = [{"name": "echo"}]
    rows = [{"function": "orders", "tools": tools}, {"function": "orders:live", "name": "live", "tools": tools}]
    config = {"endpoint_url": cloud.endpoint, "region_name": REGION, "functions": rows, **KEYS}
    provider = LambdaTools("functions", Config.model_validate(config))
    for target in ("orders", "live"):
        group = ToolGroup(target, target, trusted=True)
        result = await provider.invoke_tool(group, "echo", {"id": "ä"}, NO_ACCESS)
        assert result.structured == {"event": {"id": "ä"}}
        failure = await provider.invoke_tool(group, "echo", {"fail": "order 7"}, NO_ACCESS)
        assert (failure.failed, failure.content) == (True, "'order 7'")
    assert await provider.health() == {"status": "OK"}
    await provider.close()
    gone = {"function": "gone", "name": "orders", "tools": tools}
    provider = LambdaTools("functions", Config.model_validate(config | {"functions": [gone]}))
    with pytest.raises(ProviderUnavailable, match="is not there"):
        await provider.invoke_tool(GROUP, "echo", {}, NO_ACCESS)
    await provider.close()
