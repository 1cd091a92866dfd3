"""The watch over the whole run sees what it should: in logs, in errors, in parts of a token."""

import logging

from core.auth.verifier import Incoming
from core.errors import Unauthenticated
from tests.parts.secrets import WATCH, Watch

HEADER, PAYLOAD = "eyJhbGciOiJub25lIn0", "eyJzdWIiOiJhZGEifQ"


def test_a_part_of_a_token_in_a_line_is_a_leak() -> None:
    watch = Watch()
    watch.plant(f"{HEADER}.{PAYLOAD}.")
    watch.hear("nothing here\nthe token is fine")
    assert not watch.leaks()
    watch.hear(f'first\nInvalid token: "{PAYLOAD}"')
    assert watch.leaks() == [f'Invalid token: "{PAYLOAD}"']


def test_the_secret_of_a_key_is_a_leak_and_its_id_is_not() -> None:
    watch = Watch()
    watch.plant("llambda_abcdefgh2345_0123456789-ABCDEF_0123")
    watch.hear("key abcdefgh2345 was used")
    assert not watch.leaks()
    watch.hear("secret 0123456789-ABCDEF_0123")
    assert watch.leaks()


def test_tokens_logs_and_errors_of_the_product_are_watched() -> None:
    Incoming("a-token-of-the-watch-itself")
    assert "a-token-of-the-watch-itself" in WATCH.secrets
    logging.getLogger("core.web").debug("what-the-watch-hears-in-a-log")
    assert "what-the-watch-hears-in-a-log" in WATCH.said
    Unauthenticated("what-the-watch-hears-in-an-error")
    assert "what-the-watch-hears-in-an-error" in WATCH.said
