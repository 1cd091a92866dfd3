"""What removes all that a principal keeps: an API's eraser is given the principal, and says piece by piece what is its.

One function is for what is shown, what is removed and what is handed out, so that the three cannot differ. `core.resolution.erasure` walks them all.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from core.frame.callers import Principal
from core.routing.policy import Heir, Owner, is_owner
from core.services.extracts import Read


@dataclass(frozen=True, slots=True)
class Estate:
    """Whose data it is; `is_heir` says whether that of an owner's id alone, of before owners had an issuer, is too."""

    principal: Principal
    is_heir: Heir

    def has(self, owner: Owner | None) -> bool:
        """Whether it is this owner's: the same id of another issuer is another principal."""
        return is_owner(self.principal, owner, self.is_heir)


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing of the principal's, or several that go together.

    `name` is what things like it are called, in the plural; "" for what nobody would count. `count` and `bytes` are how many it is, and
    how much. `remove` is False where somebody is at it still, so that it has to be asked again; it may be asked any number of times,
    also for what is gone. It raises an ApiError where it cannot be removed now.

    `read` gives the files that it is in an export, and may raise an ApiError; what has a name and no `read` says in `omission` why it is
    in none; what is not whole there, what is missing.
    """

    name: str
    remove: Callable[[], Awaitable[bool]]
    count: int = 1
    bytes: int = 0
    read: Read | None = None
    omission: str = ""


type Pieces = AsyncGenerator[Sequence[Piece]]
"""Those of a sequence may be removed together, before the next is asked for."""

type Erase = Callable[[Estate], Pieces]
"""Gives every piece that is there while it is asked; removing them on the way skips none."""
