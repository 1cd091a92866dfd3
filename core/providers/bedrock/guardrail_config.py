"""How a provider of guardrails is configured."""

from core.providers.bedrock.config import BedrockConfig


class Config(BedrockConfig):
    """What every provider of AWS takes; nothing more is a guardrail's own."""
