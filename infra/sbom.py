"""The bill of materials of a package, as CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/).

It has no time and no serial number, so that the same build gives the same bytes.
"""

from collections.abc import Sequence
import json
from typing import Any

from core.frame.version import VERSION
from infra.dependencies import Dependency


def bill(function: str, dependencies: Sequence[Dependency], libraries: frozenset[str]) -> str:
    """JSON: `function`, which imports `libraries`, and its dependencies with version, licence and the lock's hashes."""
    product = f"llambda-{function}@{VERSION}"
    direct = [dependency for dependency in dependencies if dependency.modules & libraries]
    tree = [{"ref": product, "dependsOn": [_purl(dependency) for dependency in direct]}]
    by_name = {dependency.name: _purl(dependency) for dependency in dependencies}
    tree += [
        {"ref": _purl(dependency), "dependsOn": [by_name[name] for name in dependency.requires]}
        for dependency in dependencies
    ]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": product,
                "name": f"llambda-{function}",
                "version": VERSION,
                "licenses": [{"license": {"id": "MIT"}}],
            }
        },
        "components": [_component(dependency) for dependency in dependencies],
        "dependencies": tree,
    }
    return f"{json.dumps(document, indent=1)}\n"


def _component(dependency: Dependency) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _purl(dependency),
        "name": dependency.name,
        "version": dependency.version,
        "purl": _purl(dependency),
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in dependency.hashes],
    }
    if dependency.licence:
        license_ = (
            {"expression": dependency.licence} if dependency.is_spdx else {"license": {"name": dependency.licence}}
        )
        component["licenses"] = [license_]
    return component


def _purl(dependency: Dependency) -> str:
    return f"pkg:pypi/{dependency.name}@{dependency.version}"
