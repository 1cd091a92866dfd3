"""Acme, an inference provider of llambda."""

from collections.abc import Mapping
from typing import Any

from llambda_provider_acme.adapter import AcmeAdapter
from llambda_provider_acme.config import AcmeConfig


async def get_adapter_impl(config: AcmeConfig, deps: Mapping[str, Any]) -> AcmeAdapter:
    """Called once; nothing is opened yet, so that a remote that is down does not stop the stack."""
    del deps  # it depends on no other API
    return AcmeAdapter(config)
