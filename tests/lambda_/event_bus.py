"""A bus of EventBridge in the stand-in for AWS, with a rule that sends what the product tells it to a queue."""

from dataclasses import dataclass
import json
import time
from typing import Any, Final

from core.providers.aws.event_bus import SOURCE
from tests.lambda_.ministack import Cloud

PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Bus:
    """`queue` is the URL of where the events go."""

    cloud: Cloud
    arn: str
    queue: str

    def events_of(self, job: str, last: str) -> list[dict[str, Any]]:
        """What it was told of a job, in its order, once that has come to the status `last`."""
        told: list[dict[str, Any]] = []
        until = time.monotonic() + PATIENCE_SECONDS
        with self.cloud.client("sqs") as queues:
            while not (told and told[-1]["detail"]["status"] == last):
                assert time.monotonic() < until, told
                got = queues.receive_message(QueueUrl=self.queue, WaitTimeSeconds=10, MaxNumberOfMessages=10)
                for message in got.get("Messages", ()):
                    queues.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                events = [json.loads(message["Body"]) for message in got.get("Messages", ())]
                told += [event for event in events if event["detail"]["job_id"] == job]
        return told


def new_bus(cloud: Cloud, name: str) -> Bus:
    with cloud.client("events") as events, cloud.client("sqs") as queues:
        queue = queues.create_queue(QueueName=name)["QueueUrl"]
        where = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        arn = events.create_event_bus(Name=name)["EventBusArn"]
        events.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps({"source": [SOURCE]}))
        events.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "q", "Arn": where}])
    return Bus(cloud, arn, queue)
