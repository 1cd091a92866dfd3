"""Safety: shields that judge conversations, and OpenAI's moderations over them."""

from typing import Final

from core.frame.api import Api, Deployment, Surface
from core.frame.operations import Operation, openai_paths
from core.frame.resources import Kind

SHIELD: Final = Kind(
    name="shield",
    api="safety",
    path="/v1/shields",
    section="shields",
    id_field="shield_id",
    provider_id_field="provider_shield_id",
    body="core.apis.safety:RegisterShield",
    fields={"params": {}},
    check="check_shield",
    response="core.apis.answers.safety:Shield",
)

OPERATIONS: Final = (
    Operation(
        "POST",
        ("/v1/safety/run-shield",),
        "run_shield",
        "Judge a conversation by a shield.",
        response="core.apis.answers.safety:ShieldReport",
        request="core.apis.safety:RunShieldRequest",
        tokens="core.apis.safety:most_tokens",
    ),
    Operation(
        "POST",
        openai_paths("/moderations"),
        "moderate",
        "Classify texts.",
        response="core.apis.answers.safety:Moderation",
        request="core.apis.safety:ModerationRequest",
        tokens="core.apis.safety:most_tokens",
        parts="core.apis.safety:count_inputs",
    ),
)

API: Final = Api(
    "safety",
    surfaces=(Surface("safety", "core.apis.safety:Safety", OPERATIONS),),
    assemble="core.services.safety.assemble:assemble",
    kinds=(SHIELD,),
    provider="core.apis.safety:SafetyProvider",
    deployment=Deployment(rights=("CallModels", "CallModelsBehindProfiles", "ApplyGuardrails")),  # shields ask models
)
