"""What the rows of a job cost, kept with its tokens, and how it is shown."""

from collections.abc import Mapping
from typing import Final

from core.frame.callers import Call
from core.frame.observed import nanos_of, usd_of
from core.stores.jobs.port import PARTS_OF_USAGE

NANOS: Final = f"{PARTS_OF_USAGE}nanos"
PRICED: Final = f"{PARTS_OF_USAGE}priced"
UNPRICED: Final = f"{PARTS_OF_USAGE}unpriced"
PICOS: Final = f"{PARTS_OF_USAGE}picos"
"""In pico-USD what a provider's own batch cost, beside the nano-USD of single calls: its rows are rounded together."""


def spending_of(call: Call) -> dict[str, int]:
    """For the tokens of a Result: what the answers that a row asked for cost, and of how many that is known."""
    nanos, priced, unpriced = 0, 0, 0
    for row in call.ledger.list_rows():
        nanos, priced, unpriced = nanos + row.nanos, priced + row.answers - row.unpriced, unpriced + row.unpriced
    return {name: count for name, count in ((NANOS, nanos), (PRICED, priced), (UNPRICED, unpriced)) if count}


def cost_in(tokens: Mapping[str, int]) -> float | None:
    """In USD, of the tokens of a job; None where nothing was asked yet, or the price of an answer is not known."""
    if not tokens.get(PRICED) or tokens.get(UNPRICED):
        return None
    return usd_of(tokens.get(NANOS, 0) + nanos_of(tokens.get(PICOS, 0)))
