"""How calls that are signed here are made: as the config of their provider says, or as the provider does by itself."""

from core.config.answer_limits import AnswerLimits
from core.providers.aws.clients import AwsConfig, call_options


def test_the_config_counts_more_than_a_provider_and_its_own_ways_more_than_both() -> None:
    plain = call_options(AwsConfig(), "eu-west-1", tries=5)
    assert (plain.region, plain.tries, plain.connect_timeout, plain.read_timeout) == ("eu-west-1", 5, 60, 60)
    limits = AnswerLimits(max_seconds=7, max_bytes=4096)
    config = AwsConfig(
        endpoint_url="http://127.0.0.1:1",
        connect_timeout=1,
        read_timeout=2,
        total_max_attempts=4,
        max_connections=3,
        limits=limits,
    )
    own = call_options(config, None, tries=5, signed_as="bedrock", read_timeout=9)
    assert (own.endpoint_url, own.tries, own.connections, own.connect_timeout) == ("http://127.0.0.1:1", 4, 3, 1)
    assert (own.read_timeout, own.signed_as, own.total_timeout, own.most_bytes) == (9, "bedrock", 7, 4096)
