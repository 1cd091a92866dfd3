"""A function's package with what goes beside it: its zip, its bill of materials, and what to say of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.archive import Weight, zip_folder
from infra.build import Build, build
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

    def as_json(self) -> dict[str, Any]:
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


def package(wanted: Build) -> Package:
    """Build, zip and describe; raises what `build` raises."""
    built = build(wanted)
    weight = zip_folder(wanted.out, wanted.out.with_suffix(".zip"))
    made = Package(
        wanted.module,
        wanted.architecture,
        wanted.out,
        weight,
        {each.name: each.version for each in built.dependencies},
        provider_types(wanted.module, built.run_config, frozenset().union(*(d.modules for d in built.dependencies))),
    )
    made.sbom.write_text(bill(wanted.module, built.dependencies, built.needs.libraries), encoding="utf-8")
    return made
