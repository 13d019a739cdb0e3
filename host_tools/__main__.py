"""`python -m tallystick_host` is `tally`."""

from __future__ import annotations

from tallystick_host.start import main

if __name__ == "__main__":
    raise SystemExit(main())
