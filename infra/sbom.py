"""The bill of materials of a package, in CycloneDX (https://cyclonedx.org/docs/1.6/json/).

It has no time and no serial number, so that the same build gives the same bytes.
"""

from collections.abc import Sequence
import json
from typing import Any

from core.frame.version import VERSION
from infra.dependencies import Dependency


def bill(function: str, kept: Sequence[Dependency], libraries: frozenset[str]) -> str:
    """JSON: `function`, which imports `libraries`, and its dependencies with version, licence and the lock's hashes."""
    product = f"llambda-{function}@{VERSION}"
    direct = [each for each in kept if each.modules & libraries]
    tree = [{"ref": product, "dependsOn": [_purl(each) for each in direct]}]
    by_name = {each.name: _purl(each) for each in kept}
    tree += [{"ref": _purl(each), "dependsOn": [by_name[name] for name in each.requires]} for each in kept]
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
        "components": [_component(each) for each in kept],
        "dependencies": tree,
    }
    return f"{json.dumps(document, indent=1)}\n"


def _component(each: Dependency) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _purl(each),
        "name": each.name,
        "version": each.version,
        "purl": _purl(each),
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in each.hashes],
    }
    if each.licence:
        named = {"expression": each.licence} if each.is_spdx else {"license": {"name": each.licence}}
        component["licenses"] = [named]
    return component


def _purl(each: Dependency) -> str:
    return f"pkg:pypi/{each.name}@{each.version}"
