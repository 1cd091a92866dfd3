"""Which registered resources a function reads: those of the kinds that functions under any switch use, and those of its own switch."""

from typing import Final

from core.apis.index import all_manifests, kinds, manifest
from core.cli.iam import table
from core.cli.iam.right import Right
from core.frame.api import Api
from core.frame.resources import Kind


def _switch_of(kind: Kind) -> str:
    """The switch whose functions alone read resources of a kind; "" of one that functions of others read too."""
    api = manifest(kind.api)
    users = {other.deployment.switch for other in all_manifests() if other is api or api.name in other.depends}
    return api.deployment.switch if len(users) == 1 else ""


READ_BY_ALL: Final = table.read_resources(kind for kind in kinds() if not _switch_of(kind))


def read_by(api: Api) -> tuple[Right, ...]:
    """What the function of an API reads beside that; () where it is nothing."""
    switch = api.deployment.switch
    further = [kind for kind in kinds() if switch and kind.path and _switch_of(kind) == switch]
    return (table.read_resources(further, switch.removeprefix("Has")),) if further else ()
