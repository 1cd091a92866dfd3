"""A function's package with what goes beside it, its zip and its bill of materials; and its description as JSON."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.archive import Weight, zip_folder
from infra.build import BuildRequest, build
from infra.needs import provider_types
from infra.sbom import bill


@dataclass(frozen=True, slots=True)
class Package:
    """`dependencies` are versions by name; `provider_types`, as `api/type`, those that a later run config may name."""

    function: str
    architecture: str
    folder: Path
    weight: Weight
    dependencies: dict[str, str]
    provider_types: list[str]

    @property
    def zip(self) -> Path:
        """Beside the folder, as the bill of materials is."""
        return self.folder.with_suffix(".zip")

    @property
    def sbom(self) -> Path:
        """CycloneDX."""
        return self.folder.with_suffix(".cdx.json")

    def to_json(self) -> dict[str, Any]:
        """Sizes are in bytes."""
        return {
            "function": self.function,
            "architecture": self.architecture,
            "folder": str(self.folder),
            "zip": str(self.zip),
            "sbom": str(self.sbom),
            "unzipped": self.weight.unzipped,
            "zipped": self.weight.zipped,
            "sha256": self.weight.sha256,
            "parts": self.weight.parts,
            "dependencies": self.dependencies,
            "provider_types": self.provider_types,
        }


def package(request: BuildRequest) -> Package:
    """Build it, and write its zip and its bill of materials; raises what `build` raises."""
    result = build(request)
    weight = zip_folder(request.out, request.out.with_suffix(".zip"))
    description = Package(
        request.module,
        request.architecture,
        request.out,
        weight,
        {dependency.name: dependency.version for dependency in result.dependencies},
        provider_types(request.module, result.run_config, frozenset().union(*(d.modules for d in result.dependencies))),
    )
    description.sbom.write_text(bill(request.module, result.dependencies, result.needs.libraries), encoding="utf-8")
    return description
