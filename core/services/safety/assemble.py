"""Assembles the safety service."""

from core.frame.api import SurfaceFactory
from core.services.parts import Parts
from core.services.safety.router import SafetyRouter


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"safety": ...}`."""
    providers, shields = parts.providers("safety"), parts.registries["shield"]
    default = parts.safety.default_shield_id
    # The models are those of an API that may be made later.
    return {
        "safety": lambda call: SafetyRouter(shields, providers, call, default, models=parts.registries.get("model"))
    }
