"""The proof inside a report: base64 in the one element that `tally report` writes for it.

The rest of a report is never read: it is a drawing of the proof, not evidence.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from tallystick.errors import FormatError

__all__ = ["is_html", "proof_in"]

_ELEMENT: Final = re.compile(
    rb'<script type="application/vnd\.tallystick\.proof" id="proof">\s*([A-Za-z0-9+/=\s]*)</script>'
)
_HTML: Final = re.compile(rb"\s*<(!doctype|html|!--)", re.I)


def is_html(data: bytes) -> bool:
    """Does it begin as an HTML file does? A proof never does."""
    return _HTML.match(data[:64]) is not None


def proof_in(data: bytes) -> bytes:
    """The proof file in a report's bytes; `FormatError` (`report.proof`) if there is not exactly one."""
    found = _ELEMENT.findall(data)
    # stops a report that shows one proof and has another checked
    if len(found) != 1:
        raise FormatError(
            "report.proof",
            "an HTML file with no proof, or more than one, inside",
            hint="tally report writes reports that carry their proof",
        )
    try:
        return base64.b64decode(re.sub(rb"\s+", b"", found[0]), validate=True)
    except binascii.Error as error:
        raise FormatError("report.proof", "the proof in the report is not base64") from error
