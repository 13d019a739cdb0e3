"""`tally report`: one HTML file that shows a verdict to a colleague, an auditor or a court, and carries the proof that
it shows, so that nobody has to believe the picture.

Each part is a module that turns a proof and its verdict into plain values; `report.html.j2` draws them. Every text goes
through the template's escaping: names in a proof are an outsider's.
"""

from __future__ import annotations

from tallystick_host.report.page import Given, render

__all__ = ["Given", "render"]
