"""Data keys of KMS, over moto's: for one owner, remembered, and what is said where there are none."""

from collections.abc import AsyncIterator

import pytest

from core.apis.sealing import HasDataKeys
from core.errors import ApiError
from core.providers.aws.clients import AwsClients, AwsConfig
from core.providers.aws.kms_keys import MOST_USES, KmsKeys
from core.providers.responses.builtin import Compaction, Config, connect
from infra.local.dynamodb import CREDENTIALS
from tests.parts.moto import aws_client

CONFIG = AwsConfig.model_validate(
    {name.lower(): value for name, value in CREDENTIALS.items() if name != "AWS_DEFAULT_REGION"}
)


@pytest.fixture
def key_arn(moto_endpoint: str) -> str:
    with aws_client("kms", moto_endpoint) as client:
        arn: str = client.create_key()["KeyMetadata"]["Arn"]
        return arn


@pytest.fixture
async def keys(key_arn: str, moto_endpoint: str) -> AsyncIterator[KmsKeys]:
    keys = KmsKeys(key_arn, AwsClients(CONFIG), endpoint_url=moto_endpoint)
    yield keys
    await keys.close()


async def test_a_key_is_made_for_an_owner_once_and_opens_for_it_alone(
    keys: KmsKeys, key_arn: str, moto_endpoint: str
) -> None:
    key = await keys.make("ada")
    assert (len(key.secret), await keys.make("ada")) == (32, key)
    assert (await keys.make("bob")).name != key.name
    later = KmsKeys(key_arn, AwsClients(CONFIG), endpoint_url=moto_endpoint)
    assert await later.open(key.name, "ada") == key.secret
    assert await later.open(key.name, "bob") is None
    assert await later.open(b"nonsense", "ada") is None
    await later.close()


async def test_a_key_seals_so_many_and_no_more(keys: KmsKeys) -> None:
    names = {(await keys.make("ada")).name for _ in range(MOST_USES + 1)}
    assert len(names) == 2


async def test_the_run_config_names_the_key_or_the_stack_has_one_in_its_state(key_arn: str) -> None:
    named = connect("p", Config(compaction_config=Compaction(kms_key_id=key_arn)), {})
    unnamed = connect("p", Config.model_validate({"compaction_config": {"kms_key_id": ""}}), {})
    assert isinstance(named, HasDataKeys)
    assert isinstance(unnamed, HasDataKeys)
    keys = named.data_keys()
    assert isinstance(keys, KmsKeys)
    assert named.data_keys() is keys
    assert unnamed.data_keys() is None
    await named.close()
    with pytest.raises(ValueError, match="kms_key_id"):
        Config.model_validate({"compaction_config": {"kms_key_id": "alias/mine"}})


async def test_a_key_that_is_not_there_is_said_without_its_name(key_arn: str, moto_endpoint: str) -> None:
    keys = KmsKeys(key_arn[:-6] + "000000", AwsClients(CONFIG), endpoint_url=moto_endpoint)
    with pytest.raises(ApiError, match="The KMS key that compacted contexts are sealed with does not exist") as failed:
        await keys.make("ada")
    assert failed.value.status == 502
    assert "arn:" not in failed.value.message
    await keys.close()
