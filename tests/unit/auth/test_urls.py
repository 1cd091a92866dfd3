"""Tokens travel over https, or stay on this machine."""

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.auth.urls import checked_url, has_path


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example.com",
        "HTTPS://login.example.com/",
        "https://login.example.com:8443/a/b?policy=p",
        "https://[2001:db8::1]/keys",
        "http://127.0.0.1:8000/keys",
        "http://[::1]:8000",
        "http://localhost",
        "http://LOCALHOST:1",
    ],
)
def test_https_and_this_machine_are_taken(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "login.example.com",
        "//login.example.com",
        "https://",
        "https:///keys",
        "https://:443",
        "ftp://login.example.com",
        "file:///etc/passwd",
        "http://login.example.com",
        "http://10.0.0.1",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://localhost@evil.example",
        "https://user:hidden@login.example.com",
        "https://user@login.example.com",
        "https://login.example.com:port",
        "https://login.example.com:99999",
        "https://[::1",
        " https://login.example.com",
        "https://login.example.com/a b",
        "https://login.example.com\n",
        "https://log\tin.example.com",
        "https://l\u00f6gin.example.com",
    ],
)
def test_other_urls_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"^must ") as refusal:
        checked_url(url)
    assert "hidden" not in str(refusal.value)


@given(st.text())
def test_no_text_does_worse_than_a_refusal(text: str) -> None:
    try:
        checked_url("https://" + text)
    except ValueError:
        return


def test_a_path_is_more_than_a_slash() -> None:
    assert [has_path(f"https://h{tail}") for tail in ("", "/", "?q", "/keys")] == [False, False, False, True]
