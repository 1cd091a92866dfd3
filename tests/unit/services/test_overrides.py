"""What users set is kept as they set it, and a key goes to no host but the one that it was given for."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.config.overlay import Overlay, parse_overlay_request
from core.providers.openai.config import config_of
from core.services.configurations.overrides import ConfiguredProvider, apply_overrides

VLLM = config_of("remote::vllm")
HOSTS = ("http://home/v1", "http://b:1/v1", "https://b/v1", "http://c")
KEYS = ("k1", "k2")
BASE = {"url": HOSTS[0], "api_token": "operators"}
STEP = st.fixed_dictionaries(
    {},
    optional={
        "url": st.sampled_from([*HOSTS, None]),
        "api_token": st.sampled_from([*KEYS, None]),
        "timeout": st.just(7),
    },
)


def configured(overlay: Overlay, base: dict[str, Any], *, registered: bool) -> ConfiguredProvider:
    config = overlay.get("inference", {}).get("p", {}).get("config", {})
    return ConfiguredProvider("inference", "p", "remote::vllm", VLLM.model_validate(base | config), registered)


def step(overlay: Overlay, config: dict[str, Any], *, registered: bool) -> Overlay:
    now, alone = configured(overlay, BASE, registered=registered), configured({}, BASE, registered=registered)
    request = parse_overlay_request({"inference": [{"provider_id": "p", "config": config}]})
    proposal = apply_overrides(request, overlay, [now], [] if registered else [alone])
    assert not proposal.problems
    return proposal.overlay


def key(config: Any) -> str | None:
    return None if config.api_token is None else config.api_token.get_secret_value()


@pytest.mark.parametrize("registered", [False, True])
@given(steps=st.lists(STEP, max_size=6))
def test_a_key_goes_to_the_host_that_it_was_given_for_and_to_no_other(
    *, registered: bool, steps: list[dict[str, Any]]
) -> None:
    overlay: Overlay = {}
    if registered:
        overlay = {"inference": {"p": {"provider_type": "remote::vllm", "config": dict(BASE), "registered": True}}}
    allowed: dict[str, set[str | None]] = {host: {None} for host in HOSTS}
    allowed[HOSTS[0]].add("operators")
    for change in steps:
        if registered and "url" in change and change["url"] is None:
            continue  # nothing is left of it then, and it is refused
        overlay = step(overlay, change, registered=registered)
        config: Any = configured(overlay, BASE if not registered else {}, registered=registered).config
        url = str(config.url)
        if change.get("api_token"):
            assert key(config) == change["api_token"]
            allowed[url].add(change["api_token"])
        assert key(config) in allowed[url]


def test_going_home_brings_the_operators_key_back() -> None:
    away = step({}, {"url": HOSTS[1], "api_token": "k1"}, registered=False)
    assert key(configured(away, BASE, registered=False).config) == "k1"
    for home in (None, HOSTS[0]):
        back = step(away, {"url": home}, registered=False)
        assert key(configured(back, BASE, registered=False).config) == "operators"


def test_the_same_host_under_another_path_keeps_the_key() -> None:
    overlay = step({}, {"url": "http://home:80/other"}, registered=False)
    assert key(configured(overlay, BASE, registered=False).config) == "operators"


def test_what_takes_a_key_away_is_said_once() -> None:
    now = configured({}, BASE, registered=False)
    request = parse_overlay_request({"inference": [{"provider_id": "p", "config": {"url": HOSTS[1]}}]})
    proposal = apply_overrides(request, {}, [now], [now])
    assert proposal.withheld == ("providers.inference[0].config.api_token",)
    later = parse_overlay_request({"inference": [{"provider_id": "p", "config": {"timeout": 3}}]})
    away = configured(proposal.overlay, BASE, registered=False)
    assert apply_overrides(later, proposal.overlay, [away], [now]).withheld == ()
