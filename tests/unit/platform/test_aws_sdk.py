"""The AWS SDK is read before the first call where it will be needed, and only there."""

import subprocess
import sys

import pytest

from core.platform import aws_sdk as sdk

PROGRAM = """
from core.config.records import DynamoStore, SqliteStore
from core.stores.connect import COUNTERS
import sys
COUNTERS.connect({store}).warm()
print(*sys.modules)
"""


@pytest.mark.parametrize(
    ("store", "needed"),
    [("DynamoStore(table='quota', region='eu-west-1')", True), ("SqliteStore(db_path='quota.db')", False)],
)
def test_warm_counters_have_imported_what_they_need(store: str, *, needed: bool) -> None:
    command = [sys.executable, "-c", PROGRAM.format(store=store)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    assert ("aiobotocore.session" in run.stdout.split()) is needed


def test_sessions_share_what_was_read_of_a_service() -> None:
    sdk.preload("sts")
    first, second = (sdk.session().get_component("data_loader") for _ in range(2))
    assert first is second
    assert first.load_service_model("sts", "service-2") is second.load_service_model("sts", "service-2")
