"""What the pages tell an operator to run: it is bash, AWS's services have it, and the outputs and metrics that it names are there."""

from collections.abc import Iterator
import re
import subprocess
from typing import Any, Final

from botocore import xform_name
import botocore.session
import pytest

from core.runtime.log_lines import UNITS
from tests.architecture.template import ROOT, template

PAGES: Final = [ROOT / "docs" / name for name in ("operations.md", "deploy.md")]
BLOCK: Final = re.compile(r"^```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND: Final = re.compile(r"\baws ([a-z0-9-]+) ([a-z0-9-]+)((?:(?!\baws ).)*)")
EVERYWHERE: Final = {"query", "output", "region"}
CLI_ONLY: Final = {("s3", "rm"): {"recursive"}}
NAMES: Final = re.compile(r"\b[A-Z][a-z]+[A-Z]\w+|\bRequests\b")
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def text_of(page: Any) -> str:
    """With continued lines made one."""
    return str(page.read_text("utf-8")).replace("\\\n", " ")


def commands(page: Any) -> Iterator[tuple[str, str, set[str]]]:
    """Service, operation, and the names of the options; of blocks, and within the text."""
    for line in text_of(page).splitlines():
        for service, operation, rest in COMMAND.findall(line):
            of_command = re.split(r"[`;|]|\)\"|\) ", re.sub(r"'[^']*'", "''", rest))[0]
            yield service, operation, set(re.findall(r"--([a-z][a-z-]+)", of_command))


@pages
def test_every_block_is_bash(page: Any) -> None:
    blocks = BLOCK.findall(page.read_text("utf-8"))
    assert blocks
    for block in blocks:
        done = subprocess.run(["bash", "-n"], input=block, check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stderr}"


@pages
def test_every_command_of_aws_is_one_and_has_these_options(page: Any) -> None:
    session = botocore.session.get_session()
    uses = list(commands(page))
    assert len(uses) > 10
    for service, operation, options in uses:
        if (service, operation) in CLI_ONLY:
            assert options <= CLI_ONLY[service, operation]
            continue
        model = session.get_service_model("s3" if service == "s3api" else service)
        if operation == "wait":
            continue  # its waiters are not operations
        operations = {xform_name(name, "-"): name for name in model.operation_names}
        assert operation in operations, f"aws {service} {operation}"
        shape = model.operation_model(operations[operation]).input_shape
        members = {xform_name(name, "-") for name in (shape.members if shape else ())}
        unknown = {option for option in options if option.removeprefix("no-") not in members and option not in members}
        assert unknown <= EVERYWHERE, f"aws {service} {operation}: {unknown}"


@pages
def test_every_output_that_is_asked_for_is_one_of_the_stack(page: Any) -> None:
    names = set(re.findall(r"\boutput ([A-Z]\w+)", text_of(page)))
    assert names
    assert names <= template()["Outputs"].keys()


def test_every_metric_in_a_query_is_one_of_the_request_line() -> None:
    queries = re.findall(r"\bask '([^']+)'", text_of(PAGES[0]))
    assert len(queries) > 15
    assert {name for query in queries for name in NAMES.findall(query)} <= UNITS.keys()


def test_every_parameter_of_the_template_is_explained() -> None:
    text = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    assert not [name for name in template()["Parameters"] if f"`{name}`" not in text]
