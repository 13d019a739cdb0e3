"""The web address of another ledger's node, which may carry a login or a token: it is shown without.

>>> str(Endpoint.parse("https://user:secret@rpc.example:8545/v3/0123456789abcdef0123"))
'https://rpc.example:8545'
"""

from __future__ import annotations

import re
from typing import Final

from tallystick import limits
from tallystick.errors import FormatError
from tallystick.value import Value

__all__ = ["Endpoint"]

_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?:(?P<login>[^/?#@\s]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^/?#:@\[\]\s]+)(?P<port>:[0-9]{1,5})?"
    r"(?P<path>/[^?#\s]*)?(?P<query>\?[^#\s]*)?"
)
_TOKEN: Final = re.compile(r"[^/]{16,}")  # longer than the folders of any public node's address
_SHORT: Final = 3  # characters; a shorter piece is no secret, and stands in many words


class Endpoint(Value):
    """An http or https URL. `str` of it holds nothing that may be secret; `url` does."""

    url: str

    def __repr__(self) -> str:
        return f"Endpoint({self})"

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """`FormatError` (`endpoint.url`) if it is none; the text does not quote it."""
        url = url.strip()
        if len(url) > limits.URL_CHARS or not url.isprintable() or not _URL.fullmatch(url):
            raise FormatError(
                "endpoint.url",
                "not the http or https URL of a node",
                hint="as in http://127.0.0.1:8545",
            )
        return cls(url)

    def __str__(self) -> str:
        parts = self._parts()
        return f"{parts['scheme']}://{parts['host']}{parts['port']}"

    @property
    def secret(self) -> bool:
        """Does it seem to hold a login or a token?"""
        parts = self._parts()
        return bool(parts["login"] or parts["query"] or _TOKEN.search(parts["path"]))

    def scrub(self, text: str) -> str:
        """`text`, say of an error, without any piece of the URL that may be secret."""
        parts = self._parts()
        whole = [self.url, parts["login"], parts["path"], parts["query"]]
        pieces = [*parts["login"].split(":"), *re.split(r"[/?&=]", parts["path"] + parts["query"])]
        for piece in sorted({*whole, *pieces}, key=len, reverse=True):
            if len(piece) > _SHORT:
                text = text.replace(piece, "...")
        return text

    def _parts(self) -> dict[str, str]:
        match = _URL.fullmatch(self.url)
        return {name: value or "" for name, value in match.groupdict().items()} if match else {}
