"""Runs first after a reset: on a locked board Ctrl-C does nothing from here on. The radio stays off."""

import os

if "locked" in os.listdir():
    import micropython

    micropython.kbd_intr(-1)
