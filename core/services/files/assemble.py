"""Assembles the services of files and of uploads."""

from core.apis.files import Uploads
from core.frame.api import SurfaceFactory
from core.frame.callers import Call
from core.services.files.collection import FileCollection
from core.services.files.router import FilesRouter
from core.services.files.sweeping import Sweeper
from core.services.parts import Parts
from core.stores.connect import DOCUMENTS


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"files": ..., "uploads": ...}`."""
    parts.stores.find(DOCUMENTS)  # connected here, it is warmed at init
    sweeper = Sweeper(parts)

    def uploads(call: Call | None) -> Uploads:
        from core.services.files.uploads import UploadsRouter  # late: few files come in parts

        return UploadsRouter(FileCollection(parts, call), sweeper)

    return {"files": lambda call: FilesRouter(FileCollection(parts, call), sweeper), "uploads": uploads}
