"""Checkov finds nothing in the deployed template but what .checkov.yaml has, which docs/security.md answers one by one."""

import json
import re

import pytest
import yaml

from infra import checkov
from infra.uv import ROOT
from tests.lambda_ import emulator
from tests.lambda_.conftest import needs

SKIPPED = frozenset(yaml.safe_load(checkov.CONFIG.read_text("utf-8"))["skip-check"])


def test_every_finding_that_is_left_is_answered_in_the_docs() -> None:
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    assert set(re.findall(r"`(CKV\w+)`", text)) == SKIPPED


@pytest.mark.exact
def test_checkov_finds_what_is_answered_and_nothing_else() -> None:
    needs(emulator.uv)
    done = checkov.run_checkov("--framework", "cloudformation", "--output", "json", "--skip-download")
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 100
    assert {each["check_id"] for each in report["results"]["failed_checks"]} == SKIPPED
