"""URLs of nodes. If this fails, a token of somebody's account stands in a log."""

from __future__ import annotations

import pytest

from tallystick.endpoint import Endpoint
from tallystick.errors import FormatError

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("url", "shown", "secret"),
    [
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545", False),
        ("http://[::1]:8545/", "http://[::1]:8545", False),
        ("https://evm.confluxrpc.com/rpc/v1", "https://evm.confluxrpc.com", False),
        (f"https://rpc.example/v3/{TOKEN}", "https://rpc.example", True),
        (f"https://user:{TOKEN}@rpc.example", "https://rpc.example", True),
        (f"https://rpc.example/?key={TOKEN}", "https://rpc.example", True),
    ],
)
def test_shown_without_what_is_secret(url: str, shown: str, secret: bool) -> None:
    """Shown in an error or log line, or taken from an argument that others can read."""
    one = Endpoint.parse(url)
    assert (shown, secret) == (str(one), one.secret)
    assert url == one.url
    assert TOKEN not in repr(one)
    assert (
        TOKEN not in one.scrub(f"cannot connect to {url}: /v3/{TOKEN} refused, key={TOKEN}")
        or not secret
    )


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x", "http://", "127.0.0.1:8545", "http://a b", "http://x" * 400],
)
def test_what_is_no_url(url: str) -> None:
    """A traceback, or the URL in the error."""
    with pytest.raises(FormatError, match=r"^endpoint\.url") as caught:
        Endpoint.parse(url)
    assert len(str(caught.value)) < 100
