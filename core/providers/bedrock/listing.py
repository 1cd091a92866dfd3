"""What Bedrock's control plane says of models and inference profiles, as the models that a provider serves. Pure.

Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_FoundationModelSummary.html,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_InferenceProfileSummary.html.
"""

from collections.abc import Iterable
from typing import Final

from core.apis.inference import ModelType, ServedModel
from core.frame.types import JsonObject

MODEL_TYPES: Final[dict[str, ModelType]] = {"TEXT": "llm", "EMBEDDING": "embedding"}
RERANKS: Final = ".rerank-"  # in their ids; by its modalities such a model would write text
FACTS: Final = {
    "modelName": "name",
    "providerName": "provider_name",
    "inputModalities": "input_modalities",
    "outputModalities": "output_modalities",
    "responseStreamingSupported": "streaming",
}


def served_models(models: Iterable[JsonObject], profiles: Iterable[JsonObject]) -> list[ServedModel]:
    """What can be called by its id alone: active models that are offered on demand, and active profiles of models.

    An application's profile is called by its ARN, one that AWS defined by its id.
    """
    by_id = {model["modelId"]: model for model in models}
    direct: list[tuple[str, JsonObject, JsonObject]] = [
        (name, model, {}) for name, model in by_id.items() if _is_on_demand(model)
    ]
    through = [
        (
            _profile_name(profile),
            by_id[model_id],
            {"profile": profile.get("inferenceProfileName"), "model_id": model_id},
        )
        for profile in profiles
        if profile.get("status") == "ACTIVE" and (model_id := _model_of(profile)) in by_id
    ]
    return [
        ServedModel(id=name, model_type=kind, metadata=_facts(model) | more)
        for name, model, more in [*direct, *through]
        if (kind := _model_type(model)) is not None
    ]


def _is_on_demand(model: JsonObject) -> bool:
    active = model.get("modelLifecycle", {}).get("status") == "ACTIVE"
    return active and "ON_DEMAND" in model.get("inferenceTypesSupported", [])


def _model_type(model: JsonObject) -> ModelType | None:
    if RERANKS in str(model.get("modelId")):
        return "rerank"
    return next((MODEL_TYPES[name] for name in model.get("outputModalities", []) if name in MODEL_TYPES), None)


def _facts(model: JsonObject) -> JsonObject:
    return {ours: model[theirs] for theirs, ours in FACTS.items() if theirs in model}


def _profile_name(profile: JsonObject) -> str:
    own = profile.get("type") == "APPLICATION"
    return str(profile["inferenceProfileArn" if own else "inferenceProfileId"])


def _model_of(profile: JsonObject) -> str:
    """The id in the ARN (`...:foundation-model/ID`) of its first model; the others are the same in other regions."""
    arns = [str(model.get("modelArn", "")) for model in profile.get("models", [])]
    return arns[0].partition(":foundation-model/")[2] if arns else ""
