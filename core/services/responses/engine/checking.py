"""What a run would be refused for as its model is first asked, found without asking it. Pure."""

from core.config.media_urls import find_refused_url
from core.errors import InvalidRequest
from core.services.responses.contract import Run
from core.services.responses.engine.chat import ask
from core.services.responses.engine.messages import Dialogue, Tell
from core.services.responses.engine.rounds import NOTHING_TOLD


def check_told(run: Run, tell: Tell) -> None:
    """Raises InvalidRequest, in the words that inference would have for the same context."""
    dialogue = Dialogue(run.instructions, tell)
    dialogue.add_items(run.context, run.kept_count)
    if not dialogue.messages:
        raise InvalidRequest(NOTHING_TOLD, param="input")
    request = ask(run, dialogue.messages, tool_choice=None, most_tokens=None)
    if (refused := find_refused_url(request, "operator")) is not None:
        raise InvalidRequest(f"{refused[0]}: {refused[1]}", param="input")
