"""Assembles the safety service, which is imported when a shield is asked: many calls have none."""

from typing import TYPE_CHECKING

from core.frame.api import SurfaceFactory
from core.frame.callers import Call
from core.services.parts import Parts

if TYPE_CHECKING:
    from core.services.safety.router import SafetyRouter


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"safety": ...}`."""
    shields, default = parts.registries["shield"], parts.safety.default_shield_id

    def safety(call: Call | None) -> "SafetyRouter":
        from core.services.safety.router import SafetyRouter

        # The models are those of an API that may be made later.
        return SafetyRouter(shields, parts.providers("safety"), call, default, models=parts.registries.get("model"))

    return {"safety": safety}
