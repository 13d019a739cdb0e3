"""The label of a board: a QR code of its DID, with its name and id in letters.

A did:key has 56 characters and fits version 4 of the code, 33 modules a side: 15 mm are enough for a phone. There is
nothing secret in it; it is the board's public key.
"""

from __future__ import annotations

import io
from html import escape
from typing import Final

from tallystick_host.enrolment import Device

__all__ = ["for_terminal", "svg"]

_QUIET: Final = 4  # modules around the code, of ISO/IEC 18004
_LINE: Final = 5  # modules for a line of letters
_SHOWN_CHARS: Final = 24


def svg(device: Device) -> str:
    """The label as a picture, to print in any size."""
    import segno

    matrix = segno.make(device.did, error="m", micro=False).matrix
    side = len(matrix) + 2 * _QUIET
    path = "".join(
        f"M{x + _QUIET} {y + _QUIET}h1v1h-1z"
        for y, row in enumerate(matrix)
        for x, module in enumerate(row)
        if module
    )
    lines = [one[:_SHOWN_CHARS] for one in (device.name, device.id) if one]
    texts = "".join(
        f'<text x="{side / 2}" y="{side + number * _LINE}" font-size="4" '
        f'font-family="monospace" text-anchor="middle">{escape(line)}</text>\n'
        for number, line in enumerate(lines)
    )
    height = side + len(lines) * _LINE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {height}" '
        f'width="{side / 2}mm" height="{height / 2}mm">\n'
        f"<title>{escape(device.did)}</title>\n"
        f'<rect width="{side}" height="{height}" fill="#fff"/>\n<path d="{path}"/>\n{texts}</svg>\n'
    )


def for_terminal(device: Device) -> list[str]:
    """The label in half blocks, for a screen."""
    import segno

    out = io.StringIO()
    segno.make(device.did, error="m", micro=False).terminal(out=out, compact=True)
    return [*out.getvalue().splitlines(), f"{device.name or '-'}  {device.id}"]
