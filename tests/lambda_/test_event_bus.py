"""What is told of a job arrives where a rule of the bus sends it, over the stand-in for AWS."""

import time

import pytest

from core.apis.jobs import JobChange
from core.providers.aws.clients import AwsClients, AwsConfig
from core.providers.aws.event_bus import DETAIL_TYPE, SOURCE, EventBus
from tests.lambda_.event_bus import new_bus
from tests.lambda_.ministack import CREDENTIALS, Cloud

pytestmark = pytest.mark.exact

CONFIG = AwsConfig.model_validate(
    {name.lower(): value for name, value in CREDENTIALS.items() if name != "AWS_DEFAULT_REGION"}
)


async def test_a_rule_of_the_bus_has_what_is_told(cloud: Cloud) -> None:
    told = new_bus(cloud, "jobs")
    bus = EventBus(told.arn, "mine", AwsClients(CONFIG), endpoint_url=cloud.endpoint)
    await bus.tell(JobChange("evt_1", "batch_1", "batch", "ada", "completed", time.time(), "", {"completed": 3}))
    await bus.close()
    [event] = told.events_of("batch_1", "completed")
    assert (event["source"], event["detail-type"]) == (SOURCE, DETAIL_TYPE)
    assert event["detail"] == {
        "event_id": "evt_1",
        "stack": "mine",
        "job_id": "batch_1",
        "kind": "batch",
        "owner": "ada",
        "status": "completed",
        "reason": None,
        "counts": {"completed": 3},
    }
