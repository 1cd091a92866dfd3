"""Assembles the services of files and of uploads."""

from functools import cache
from typing import TYPE_CHECKING

from core.frame.api import SurfaceFactory
from core.frame.callers import Call
from core.services.parts import Parts
from core.stores.connect import DOCUMENTS

if TYPE_CHECKING:
    from core.apis.files import Files, Uploads
    from core.services.files.sweeping import Sweeper


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"files": ..., "uploads": ...}`."""
    parts.stores.find(DOCUMENTS)  # connected here, it is warmed at init

    @cache
    def sweeper() -> "Sweeper":
        from core.services.files.sweeping import Sweeper  # late, as below: not all who may read files do

        return Sweeper(parts)

    def files(call: Call | None) -> "Files":
        from core.services.files.collection import FileCollection
        from core.services.files.router import FilesRouter

        return FilesRouter(FileCollection(parts, call), sweeper())

    def uploads(call: Call | None) -> "Uploads":
        from core.services.files.collection import FileCollection
        from core.services.files.uploads import UploadsRouter

        return UploadsRouter(FileCollection(parts, call), sweeper())

    return {"files": files, "uploads": uploads}
