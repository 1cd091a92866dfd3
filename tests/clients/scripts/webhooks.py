"""OpenAI's client has its background responses told of, and unwraps what its receiver at RECEIVER_URL has got."""

from base64 import b64decode
import json
import os
import time
from typing import Any, Final
from urllib.request import urlopen

from tests.clients.scripts.harness import refusal, run
from tests.clients.scripts.responses.asking import MODEL, openai
from tests.parts.model_script import Round, write_script

RECEIVER: Final = os.environ.get("RECEIVER_URL", "")
ENDPOINTS: Final = "/webhook_endpoints"
TYPE: Final = "response.completed"

type Received = tuple[dict[str, str], bytes]


def received(event_id: str) -> list[Received]:
    """What has come that is about this response, or this event."""
    with urlopen(RECEIVER.replace("/hook", "/received")) as answer:  # noqa: S310 - on loopback
        every = [(each["headers"], b64decode(each["body"])) for each in json.load(answer)]
    return [(headers, body) for headers, body in every if event_id in body.decode()]


def until_received(event_id: str, count: int = 1) -> list[Received]:
    until = time.monotonic() + 60
    while len(found := received(event_id)) < count:
        assert time.monotonic() < until, found
        time.sleep(0.05)
    return found


def register(client: Any, name: str) -> dict[str, Any]:
    """By hand: the client's generation 2 has no methods for it."""
    body = {"name": name, "url": RECEIVER, "event_types": [TYPE, "batch.completed"]}
    made: dict[str, Any] = client.post(ENDPOINTS, body=body, cast_to=object)
    return made


def is_told_and_unwraps_it(url: str) -> None:
    from openai import InvalidWebhookSignatureError

    client = openai(url)
    endpoint = register(client, "told")
    made = client.responses.create(model=MODEL, input=write_script(Round("Hello.")), background=True)
    [(headers, body)] = until_received(made.id)
    event = client.webhooks.unwrap(body, headers, secret=endpoint["signing_secret"])
    assert (type(event).__name__, event.type) == ("ResponseCompletedWebhookEvent", TYPE)
    assert (event.data.id, event.object, event.id) == (made.id, "event", headers["webhook-id"])
    assert client.responses.retrieve(event.data.id).output_text == "Hello."
    wrong = "whsec_" + "A" * 43 + "="
    refusal(InvalidWebhookSignatureError, lambda: client.webhooks.unwrap(body, headers, secret=wrong))
    refusal(
        InvalidWebhookSignatureError,
        lambda: client.webhooks.unwrap(body + b" ", headers, secret=endpoint["signing_secret"]),
    )
    client.delete(f"{ENDPOINTS}/{endpoint['id']}", cast_to=object)


def both_secrets_unwrap_while_one_is_rotated(url: str) -> None:
    client = openai(url)
    endpoint = register(client, "rotated")
    path = f"{ENDPOINTS}/{endpoint['id']}"
    rotated = client.post(f"{path}/rotate_secret", body={"keep_old_secret_active_for_24_hours": True}, cast_to=object)
    made = client.responses.create(model=MODEL, input=write_script(Round("Hi.")), background=True)
    [(headers, body)] = until_received(made.id)
    for secret in (endpoint["signing_secret"], rotated["signing_secret"]):
        assert client.webhooks.unwrap(body, headers, secret=secret).data.id == made.id
    client.delete(path, cast_to=object)


def keeps_endpoints_by_the_methods_of_generation_3(url: str) -> None:
    import openai as package

    client = openai(url)
    if package.__version__.startswith("2."):
        return
    types = client.webhooks.event_types.list()
    assert TYPE in types.data
    made = client.webhooks.create(name="kept", url=RECEIVER, event_types=[TYPE])
    assert (made.object, made.event_types, made.signing_secret[:6]) == ("webhook_endpoint", [TYPE], "whsec_")
    changed = client.webhooks.update(made.id, name="changed")
    assert (changed.name, client.webhooks.retrieve(made.id).name) == ("changed", "changed")
    assert [each.id for each in client.webhooks.list(limit=1)] == [made.id]
    tested = client.webhooks.test(made.id, event_type=TYPE)
    assert (tested.success, tested.status_code, tested.webhook_endpoint_id) == (True, 200, made.id)
    [(headers, body)] = until_received("resp_000000000000000000000000")
    assert client.webhooks.unwrap(body, headers, secret=made.signing_secret).type == TYPE
    rotated = client.webhooks.rotate_secret(made.id)
    assert rotated.signing_secret != made.signing_secret
    gone = client.webhooks.delete(made.id)
    assert (gone.deleted, gone.object) == (True, "webhook_endpoint.deleted")
    refusal(package.NotFoundError, lambda: client.webhooks.retrieve(made.id))


SCENARIOS: Final = (
    is_told_and_unwraps_it,
    both_secrets_unwrap_while_one_is_rotated,
    keeps_endpoints_by_the_methods_of_generation_3,
)

if __name__ == "__main__":
    run(SCENARIOS)
