"""What a listing says of a model beside its name, in the words of whoever lists it. Pure.

Sources: https://docs.vllm.ai/en/latest/features/lora.html (`parent`), and the listings of llama.cpp's server (`meta`), of
Groq (`context_window`) and of Together and SambaNova (`context_length`).
"""

from typing import Final

from core.apis.discovery import OfferedModel
from core.apis.inference import ServedModel
from core.frame.types import JsonObject
from core.platform.json_values import to_object

CONTEXT: Final = ("max_model_len", "context_window", "context_length", "max_context_length", "n_ctx")


def offered_model(model: ServedModel, entry: JsonObject) -> OfferedModel:
    """The model, with what its entry in the listing says of its context and of the model it adapts."""
    offer = OfferedModel(id=model["id"], model_type=model["model_type"])
    facts = {**to_object(entry.get("meta")), **entry}
    length = next((value for name in CONTEXT if _is_count(value := facts.get(name))), None)
    if length is not None:
        offer["context_length"] = length
    parent = entry.get("parent")
    if isinstance(parent, str) and parent:
        offer["adapter_of"] = parent
    return offer


def offered_profile(model: ServedModel) -> OfferedModel:
    """A model of Bedrock's, or a profile of one."""
    offer = OfferedModel(id=model["id"], model_type=model["model_type"])
    base = model["metadata"].get("model_id")
    if base is not None:
        offer["profile_of"] = base
    return offer


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
