"""What the HTTP side is made over: the folder, the running writer, and who may see what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tallystick.update import Update
from tallystick_gateway.access import Access
from tallystick_gateway.folder import Folder, Identity
from tallystick_gateway.views import Views
from tallystick_gateway.writer import Writer

__all__ = ["Site"]


@dataclass(frozen=True)
class Site:
    """One gateway as it is served."""

    folder: Folder
    identity: Identity
    writer: Writer
    access: Access = field(default_factory=Access)
    device_metrics: bool = False
    updates: Callable[[], tuple[Update, ...]] = tuple  # the oldest first

    @contextmanager
    def views(self) -> Iterator[Views]:
        """The database through a connection of its own."""
        views = Views.read(self.folder.database)
        try:
            yield views
        finally:
            views.close()

    def name(self, device: bytes) -> str | None:
        """What people call the device."""
        enrolled = self.writer.enrolment.current.devices.get(device)
        return enrolled.name if enrolled else None
