"""What is wrong with an external provider before it is made: its packages, its version, its code."""

from core.config.document import ProviderEntry
from core.config.load import Loaded
from core.config.problems import Problem
from core.platform.commands import pip_install
from core.resolution.external.boundary import Unusable
from core.resolution.external.code import code_of, missing_packages
from core.resolution.external.packages import version_fault
from core.resolution.provider_types import ProviderSpec


def external_problems(loaded: Loaded, path: str, entry: ProviderEntry, spec: ProviderSpec) -> list[Problem]:
    """All of it, each with what to do."""
    problems: list[Problem] = []
    place = loaded.places.source_path(path)
    if entry.module is not None and (fault := version_fault(entry.module)) is not None:
        problems.append(Problem(f"{place}.module", fault))
    missing = missing_packages(spec)
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        message = f"{names} of its pip_packages ({spec.origin}) is not installed; `{pip_install(missing)}`"
        problems.append(Problem(f"{place}.provider_type", message))
    try:
        code_of(spec)
    except Unusable as wrong:
        problems += [Problem(f"{place}.provider_type", reason) for reason in wrong.reasons]
    return problems
