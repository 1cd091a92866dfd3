"""The documentation is true of this checkout: what is generated is fresh, and every file, module and class it names exists."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
import re
import subprocess
import sys
import zipfile

import pytest

from infra import docs

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
DECISIONS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
NEW = re.compile("NAME|SIGN|horoscopes")  # what the recipes add
LOGGER = "core.requests"
FILE = re.compile(r"(?<![\w/.-])(?:core|functions|infra|tests|docs|locks)/[\w./*-]*\w")
MODULE = re.compile(r"\bcore(?:\.\w+)+")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
ROOMS = ("core", "infra", "tests")
CAPITAL = re.compile(r"`([A-Z]\w+)`")
IN_FILE = re.compile(r"`(\w+)` in `((?:core|infra|tests)/[\w/]+\.py)`")
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def test_the_table_of_operations_is_fresh() -> None:
    assert docs.APIS.read_text("utf-8") == docs.apis(), "run `make docs`"


def test_the_drawing_of_the_rooms_is_fresh() -> None:
    text = docs.HOUSE.read_text("utf-8")
    assert docs.house(text) == text, "run `make docs`"
    with pytest.raises(ValueError, match="place for the drawing"):
        docs.house("# The house\n")


def test_every_room_is_described() -> None:
    text = docs.HOUSE.read_text("utf-8")
    rooms = docs.imports_of_rooms()
    assert not [room for room in rooms if f"| `core/{room}/` |" not in text and room not in {"functions", "errors"}]
    assert {"cli", "functions", "web", "providers", "errors"} <= set(rooms)


@pages
def test_every_file_and_module_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    files = [name for name in FILE.findall(text) if not NEW.search(name)]
    assert not [name for name in files if not any(ROOT.glob(name))]
    modules = set(MODULE.findall(text)) - {LOGGER}
    assert not [name for name in modules if not NEW.search(name) and not _is_module(name)]


def _is_module(name: str) -> bool:
    """A module, a room, or what a module defines."""
    place = ROOT / name.replace(".", "/")
    if place.is_dir() or place.with_suffix(".py").is_file():
        return True
    module = place.parent.with_suffix(".py")
    return module.is_file() and re.search(rf"\b{place.name}\b", module.read_text("utf-8")) is not None


@pages
def test_what_an_example_in_python_imports_of_this_house_is_there(page: Path) -> None:
    for code in PYTHON.findall(page.read_text("utf-8")):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("core."):
                module = vars(import_module(node.module or ""))
                assert all(alias.name in module for alias in node.names), ast.unparse(node)


@pages
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in LINK.findall(page.read_text("utf-8")):
        if "://" in link:
            continue
        name, _, heading = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not heading or heading in set(_anchors(target)), link


def _anchors(page: Path) -> Iterator[str]:
    """As GitHub makes them of headings."""
    for line in page.read_text("utf-8").splitlines():
        if line.startswith("#"):
            yield re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-")


def test_every_decision_is_numbered_titled_and_in_the_index() -> None:
    index = (ROOT / "docs" / "adr" / "README.md").read_text("utf-8")
    for number, page in enumerate(DECISIONS, start=1):
        heading = page.read_text("utf-8").partition("\n")[0]
        assert page.name.startswith(f"{number:04}-")
        assert heading.startswith(f"# {number}. ")
        assert f"| {number} | [{heading.partition('. ')[2]}]({page.name}) | " in index, page.name


def test_the_glossary_has_one_line_for_each_word_in_order() -> None:
    words = re.findall(r"^- \*\*(.+?)\*\*: .+\.$", (ROOT / "docs" / "glossary.md").read_text("utf-8"), re.MULTILINE)
    assert len(words) > 30
    assert words == sorted(set(words), key=str.casefold)


def test_the_classes_and_tables_that_the_glossary_and_the_recipes_name_exist() -> None:
    sources = "\n".join(path.read_text("utf-8") for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    for page in (ROOT / "docs" / "glossary.md", *(ROOT / "docs" / "recipes").glob("*.md")):
        text = page.read_text("utf-8")
        names = {name for name in CAPITAL.findall(text) if not NEW.search(name)}
        assert not [name for name in names if not re.search(rf"\b{name}\b", sources)], page.name
        for name, file in IN_FILE.findall(text):
            assert re.search(rf"\b{name}\b", (ROOT / file).read_text("utf-8")), f"{name} in {file}"


def test_a_wheel_has_the_table_that_the_command_reads(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    assert "core/cli/reference_operations.txt" in zipfile.ZipFile(wheel).namelist()
