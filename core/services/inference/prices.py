"""What a model costs where it is asked: as the run config says, else its metadata, else the list that ships."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.apis.prices import Price, parse_price
from core.config.policy import resource_matcher
from core.config.usage import PriceRow
from core.frame.resources import Resource
from core.routing.guard import GuardedRegistry
from core.routing.targets import Target
from core.services.inference.price_list import PRICES

FIELD: Final = "price"
"""Of a model's metadata."""
MOST_KNOWN: Final = 1000
"""Places whose price is remembered: names that callers invent are no places."""


class Prices:
    """Of the models of one stack. Each is looked up once for a place, a provider and its name for the model."""

    def __init__(self, rows: Sequence[PriceRow], provider_types: Mapping[str, str]) -> None:
        """`provider_types` are by provider id."""
        self._rows = rows
        self._types = provider_types
        self._known: dict[tuple[str, str], tuple[Price | None, Price | None]] = {}
        self._parsed: dict[tuple[str, str], tuple[object, Price]] = {}

    def find(self, models: GuardedRegistry, resource: Resource, target: Target) -> Price | None:
        """Of an answer that `target` gives for this model; None where nobody says it.

        What the run config declares of a place holds for every name of it, unless that has a price of its own.
        """
        configured, shipped = self._at(target)
        if configured is not None:
            return configured
        for row in (resource, *models.declared_at(*target.place)):
            metadata: Mapping[str, Any] = row.attributes.get("metadata") or {}
            if FIELD in metadata:
                return self._parse(target, metadata[FIELD])
        return shipped

    def _parse(self, target: Target, value: object) -> Price:
        """A call asks twice, before and after, and the next one for the same: what a resource says is read once."""
        place = self._parsed.get(target.place)
        if place is not None and place[0] is value:
            return place[1]
        price = parse_price(value)
        if place is not None or len(self._parsed) < MOST_KNOWN:
            self._parsed[target.place] = value, price
        return price

    def _at(self, target: Target) -> tuple[Price | None, Price | None]:
        """What the run config, and the list that ships, say of a place."""
        entry = self._known.get(target.place)
        if entry is None:
            provider_type = self._types.get(target.provider_id, "")
            rows = [
                (row.model, row.rates)
                for row in self._rows
                if row.provider_id == target.provider_id or row.provider_type == provider_type
            ]
            table = PRICES.get(provider_type, {})
            shipped = next((rates for model, rates in table.items() if _is_like(model, target.model)), None)
            configured = next((price for model, price in rows if _is_like(model, target.model)), None)
            entry = configured, None if shipped is None else parse_price(shipped)
            if len(self._known) < MOST_KNOWN:
                self._known[target.place] = entry
        return entry


def _is_like(pattern: str, model: str) -> bool:
    return resource_matcher(f"model::{pattern}")(f"model::{model}")
