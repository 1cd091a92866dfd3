"""What may have changed since this build: prices that limits of money rest on."""

from datetime import date
from typing import TYPE_CHECKING, Final

from core.config.places import to_mapping
from core.services.inference.price_list import DATED, PRICES

if TYPE_CHECKING:
    from core.config.document import RunConfig

OLD: Final = 180  # days


def price_warnings(config: "RunConfig", today: date) -> list[str]:
    """Of a run config that limits money, and has providers whose prices ship; keys may limit it too, which nobody sees here."""
    quota, days = config.server.quota, (today - date.fromisoformat(DATED)).days
    if days <= OLD or quota is None or not any("money" in to_mapping(row) for row in quota.limits):
        return []
    types = sorted({entry.provider_type for entry in config.providers.get("inference", ())} & PRICES.keys())
    return [
        f"server.quota.limits: money is limited by the prices of {name} that ship, which are {days} days old ({DATED}): check "
        "them, and say in server.usage.prices what has changed"
        for name in types
    ]
