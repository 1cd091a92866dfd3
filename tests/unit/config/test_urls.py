"""Where the URLs in a provider's config lead, and which of them callers may name."""

from typing import Any

from pydantic import TypeAdapter, ValidationError
import pytest

from core.config.urls import FORBIDDEN, NO_URL, PRIVATE, UpstreamUrl, host_of, origins_of, place_fault, places_of


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ({"url": "https://a.test/v1", "timeout": 7, "model": "a/b", "none": None}, {"url": "https://a.test/v1"}),
        ({"word": "HTTP://a.test"}, {"word": "HTTP://a.test"}),
        ({"word": "a.test:80", "names": ["s3://a", "a.b"]}, {}),
        ({"host": "gpu"}, {"host": "gpu"}),
        ({"endpoint": "converse", "base_url": ""}, {}),
        ({"endpoint": "a.test"}, {"endpoint": "a.test"}),
        ({"proxy": "socks5://a"}, {"proxy": "socks5://a"}),
        (
            {"Deep": {"Redis_Host": "gpu"}, "urls": ["http://a", "b:80"]},
            {"Deep.Redis_Host": "gpu", "urls[0]": "http://a", "urls[1]": "b:80"},
        ),
    ],
)
def test_places_are_found_by_what_they_are_or_are_called(values: dict[str, Any], places: dict[str, str]) -> None:
    assert dict(places_of(values)) == places


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.test", "https://a.test/v1", True),
        ("https://a.test", "https://A.TEST:443", True),
        ("http://a.test", "http://a.test:80/x", True),
        ("https://a.test", "http://a.test", False),
        ("https://a.test", "https://a.test:8443", False),
        ("https://a.test", "https://a.test.", False),
        ("https://a.test", "https://b@a.test", False),
        ("https://a.test", "https://b.test\\@a.test", False),
        ("https://a.test/?x", "https://a.test/?x", True),
    ],
)
def test_an_origin_is_scheme_host_and_port(one: str, other: str, same: bool) -> None:  # noqa: FBT001 - a parameter
    assert (origins_of({"url": one}) == origins_of({"url": other})) == same


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("https://models.example.com", ""),
        ("https://models.example.com:65535/a/b-c_d.e~f%20;g=h", ""),
        ("https://models.example.com:65536", NO_URL),
        ("https://models.example.com/?a", NO_URL),
        ("https://models.example.com/\n", NO_URL),
        ("models.example.com", ""),
        ("models.example.com:80", ""),
        ("gpu", PRIVATE),
        ("10.0.0.1:80", PRIVATE),
        ("::1", PRIVATE),
        ("[::1]:80", PRIVATE),
        ("fd00:ec2::254", FORBIDDEN),
        ("[fd00:ec2::254]", FORBIDDEN),
        ("a b", NO_URL),
        ("", NO_URL),
    ],
)
def test_a_place_of_a_callers_is_read_alike_by_all(text: str, fault: str) -> None:
    assert place_fault(text, "public") == fault
    assert place_fault(text, "private") == ("" if fault == PRIVATE else fault)


def test_a_urls_host_and_port() -> None:
    assert host_of("https://a.test/v1") == ("a.test", 443)
    assert host_of("http://[::1]:81") == ("::1", 81)
    assert host_of("a.test") is None


def test_the_run_configs_url_leads_to_no_metadata_and_keeps_its_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    urls: TypeAdapter[str] = TypeAdapter(UpstreamUrl)
    for url in ("http://[", "http://a:x", "http://127.0.0.1:9001", "http://127.0.0.1"):
        assert urls.validate_python(url) == url
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    assert urls.validate_python("http://127.0.0.1:9002")
    for url in ("http://127.0.0.1:9001", "http://169.254.169.254:1"):
        with pytest.raises(ValidationError, match="no provider may have"):
            urls.validate_python(url)
