"""The browser that tests drive: the machine's own Chromium, or its package, unpacked.

Chromium starts itself again for its helpers, so it cannot be run through another program loader as
the smaller programs are. It gets the unpacked libraries by LD_LIBRARY_PATH and keeps the machine's
C library, which is of the same release. Its pages are drawn with fonts of ours, so that a picture
looks alike on every machine.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from tools import programs
from tools.debian import ArchiveError
from tools.parts import PARTS

NAMES = ("chromium", "chromium-browser", "google-chrome")
# The machine's own C library stands in; the rest draws through a graphics card, or is for scripts.
WITHOUT = ("libc6", "libllvm", "libgl1-mesa-dri", "libz3", "libperl")
# What a page is drawn with; the plain library package of fontconfig brings no configuration.
FONT_PACKAGES = ["fonts-dejavu-core", "fonts-liberation"]
FONTS = PARTS / "fonts"
FONTS_CONF = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir prefix="relative">usr/share/fonts</dir>
  <alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>serif</family><prefer><family>DejaVu Serif</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
"""
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium_present() -> bool:
    """The browser's script, its program and the fonts."""
    return programs.wrapper_works("chromium") and (FONTS / "fonts.conf").is_file()


def make_chromium() -> str:
    """`.parts/bin/chromium`, checked by having it draw a page."""
    if not (FONTS / "fonts.conf").is_file():
        programs.own_suite(FONT_PACKAGES[0]).unpack(FONT_PACKAGES, FONTS, alone=True)
        (FONTS / "fonts.conf").write_text(FONTS_CONF)
    env = {"FONTCONFIG_FILE": f"{FONTS}/fonts.conf"}
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        program = Path(found)
    else:
        root = PARTS / "chromium"
        suite = programs.own_suite("chromium")
        suite.unpack(["chromium", "chromium-common"], root, without=WITHOUT)
        program = root / "usr/lib/chromium/chromium"
        folders = sorted(folder for folder in root.glob("usr/lib/*-linux-*") if folder.is_dir())
        inner = [folder / "pulseaudio" for folder in folders]
        libraries = [folder for folder in [*folders, *inner] if folder.is_dir()]
        env["LD_LIBRARY_PATH"] = ":".join(map(str, libraries))
    argv = ["env", *(f"{name}={value}" for name, value in env.items()), str(program)]
    version = drawing_version(argv)
    programs.write_wrapper("chromium", program, argv)
    return version


def drawing_version(argv: list[str]) -> str:
    """The browser's version; ArchiveError if it does not start, or draws nothing."""
    said = programs.output([*argv, "--version"])
    version = re.search(r"\b(\d+\.\d+\.\d+\.\d+)", said)
    with tempfile.TemporaryDirectory() as folder:
        # a browser on a fresh profile, which nobody else's browser uses
        page = "data:text/html,<title>x</title><script>document.title=6*7</script>"
        drawn = programs.output([*argv, *QUIET, f"--user-data-dir={folder}", "--dump-dom", page])
    if version is None or "<title>42</title>" not in drawn:
        last = (drawn or said).strip().splitlines()[-2:]
        message = f"'{os.path.basename(argv[-1])}' does not draw a page: {' / '.join(last)}"
        raise ArchiveError(message)
    return version[1]
