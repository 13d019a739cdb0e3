"""Build hook: an editable install imports the folders under their package names.

The wheel renames folders: `gateway` becomes `tallystick_gateway`. An editable install cannot, so it
gets a folder of links, `.parts/packages`, on its path. Python, mypy and pytest resolve the same
files through it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PackageLinks(BuildHookInterface):  # type: ignore[type-arg]
    """Makes one link for each folder that the wheel includes, when the build is an editable one."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Called by hatchling before a build; `version` is "editable" or "standard"."""
        if version != "editable":
            return
        wheel = self.build_config.target_config
        packages = Path(self.root, *Path(wheel["dev-mode-dirs"][0]).parts)
        packages.mkdir(parents=True, exist_ok=True)
        for folder in wheel["only-include"]:
            link = packages / wheel["sources"].get(folder, folder)
            link.unlink(missing_ok=True)
            link.symlink_to(Path("../..") / folder, target_is_directory=True)
