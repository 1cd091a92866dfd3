"""What is told of a job arrives where a rule of the bus sends it, over the stand-in for AWS."""

import json
import time
from typing import Any

import pytest

from core.apis.jobs import JobChange
from core.providers.aws.clients import AwsClients, AwsConfig
from core.providers.aws.event_bus import DETAIL_TYPE, SOURCE, EventBus
from tests.lambda_.ministack import CREDENTIALS, Cloud

pytestmark = pytest.mark.exact

CONFIG = AwsConfig.model_validate(
    {name.lower(): value for name, value in CREDENTIALS.items() if name != "AWS_DEFAULT_REGION"}
)


async def test_a_rule_of_the_bus_has_what_is_told(cloud: Cloud) -> None:
    with cloud.client("events") as events, cloud.client("sqs") as queues:
        queue = queues.create_queue(QueueName="told")["QueueUrl"]
        where = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        arn = events.create_event_bus(Name="jobs")["EventBusArn"]
        events.put_rule(Name="ended", EventBusName="jobs", EventPattern=json.dumps({"source": [SOURCE]}))
        events.put_targets(Rule="ended", EventBusName="jobs", Targets=[{"Id": "q", "Arn": where}])
        bus = EventBus(arn, "mine", AwsClients(CONFIG), endpoint_url=cloud.endpoint)
        await bus.tell(JobChange("evt_1", "batch_1", "batch", "ada", "completed", time.time(), "", {"completed": 3}))
        await bus.close()
        [message] = queues.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
    event: dict[str, Any] = json.loads(message["Body"])
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
