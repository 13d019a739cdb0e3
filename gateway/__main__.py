"""`python -m tallystick_gateway` is `tally-gateway`."""

from __future__ import annotations

from tallystick_gateway.cli import main

if __name__ == "__main__":
    main()
