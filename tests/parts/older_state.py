"""State that an earlier llambda wrote: dumps of it in tests/contract/databases, and the API keys that were made with it."""

import base64
from collections.abc import Mapping
from contextlib import closing
import json
from pathlib import Path
from typing import Any, Final

import botocore.session

from infra.local.dynamodb import CREDENTIALS, REGION

DATABASES: Final = Path(__file__).parents[1] / "contract" / "databases"
KEYS: Final = {
    "sqlite": {
        "admin": "llambda_7iewt5a3fkk3_mlHDKI5_noRdCjAPBpDmJJCt6N6a0IS-D0gUTI3L3V0",
        "ada": "llambda_jnrrhguvlnag_yA3pZ-T5eN4tRU32jivx5517UAzsIiZXE8dYqTorn14",
    },
    "dynamodb": {
        "admin": "llambda_moo4qfiks6xp_KySXb8dJD5Rm6AmtIAOT8ToGbsj4IIGzz9i43LXFxXU",
        "ada": "llambda_xavtocx7udxp_hp4gNMxdsPzPX4Bo1dNwKpO3ZydRj0Sii7hX9PRJL0s",
    },
}
"""By who they are for; of before there were files and vector stores."""


def fill_tables(endpoint: str, tables: Mapping[str, str]) -> None:
    """Write the items of `registry`, `quota` and `state` of then into tables of these names."""
    dumped: dict[str, list[Any]] = json.loads((DATABASES / "2026-11-before-files.json").read_text("utf-8"))
    session = botocore.session.get_session()
    session.set_credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
    client: Any = session.create_client("dynamodb", region_name=REGION, endpoint_url=endpoint)
    with closing(client):
        for name, table in tables.items():
            for item in dumped[name]:
                client.put_item(TableName=table, Item={key: _value_of(value) for key, value in item.items()})


def _value_of(value: dict[str, str]) -> dict[str, str | bytes]:
    """Bytes are in Base64 in the dump."""
    return {kind: base64.b64decode(text) if kind == "B" else text for kind, text in value.items()}
