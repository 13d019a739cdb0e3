"""One file a command: options in, calls, facts out."""

from __future__ import annotations
