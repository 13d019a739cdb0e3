"""`python -m tallystick_ledger`."""

from __future__ import annotations

from tallystick_ledger.cli import main

if __name__ == "__main__":
    main()
