"""The commands of `tally-gateway`: one module each, with the click command under `command`."""

from __future__ import annotations
