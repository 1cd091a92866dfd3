"""The wheel's top-level packages have names that nothing else in its environment has: docs/adr/0059."""

from importlib import metadata
import tomllib

from tests.parts.stack import ROOT


def test_nothing_else_installs_packages_of_these_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    names = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert names == {"core", "functions"}
    owners = {
        distribution.name
        for distribution in metadata.distributions()
        for file in distribution.files or ()
        if file.parts[0] in names or file.name in {f"{name}.py" for name in names if len(file.parts) == 1}
    }
    assert owners <= {"llambda"}
