"""The request of a run that somebody else goes on with, sealed for its caller: its tools bring tokens, headers and URLs, wherever their types have them.

Its input is not in it: the record of the run has that as items, as they are kept.
"""

from collections.abc import Sequence
import json

from core.apis.responses import ResponseRequest
from core.frame.types import JsonObject
from core.services.responses.contract import Item
from core.services.sealing.sealer import Sealer


async def seal_request(request: ResponseRequest, sealer: Sealer) -> str:
    """Raises ApiError where no key can be had."""
    body = request.model_dump(mode="json", exclude_unset=True, exclude={"input"})
    return await sealer.seal(json.dumps(body, separators=(",", ":")).encode())


async def unseal_request(text: str, items: Sequence[Item], sealer: Sealer) -> ResponseRequest:
    """The request, whose input are these `items`. Raises Broken where its key is no more, and ApiError where no key can be had."""
    body: JsonObject = json.loads(await sealer.unseal(text))
    return ResponseRequest.model_validate({**body, "input": [*items]})
