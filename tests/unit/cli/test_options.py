"""What the options of several commands take."""

import pytest

from core.cli.options import parse_env_option
from core.config.problems import ConfigInvalid


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("KEY=value", ("KEY", "value")),
        ("KEY=", ("KEY", "")),
        ("URL=http://h?a=b=c", ("URL", "http://h?a=b=c")),
        ("_a1= x ", ("_a1", " x ")),
    ],
)
def test_an_env_option_is_split_at_its_first_equals_sign(text: str, pair: tuple[str, str]) -> None:
    assert parse_env_option(text) == pair


@pytest.mark.parametrize("text", ["KEY", "", "1A=hunter2", "=hunter2", "A-B=hunter2", "A B=hunter2", "É=hunter2"])
def test_a_bad_env_option_says_the_form_and_not_the_value(text: str) -> None:
    with pytest.raises(ConfigInvalid, match="KEY=VALUE") as raised:
        parse_env_option(text)
    assert "hunter2" not in str(raised.value)
    assert raised.value.source == "--env"


def test_a_nul_in_a_value_is_refused_before_the_system_refuses_it() -> None:
    with pytest.raises(ConfigInvalid, match="KEY: the value has a NUL"):
        parse_env_option("KEY=a\0b")
