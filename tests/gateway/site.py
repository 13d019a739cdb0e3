"""A gateway with a day behind it, for tests of what people look at: boards that are well, one with a
gap, one that was cloned, one that is silent, reboots, events, and a ledger that anchors."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tallystick.body import Channel, EventCode, Readings
from tallystick.keys import PrivateKey
from tallystick.record import Record
from tests.gateway.boards import OPEN, Board
from tests.gateway.running import Field, Gateway, eventually

MINUTE_S = 60
NAMES = {
    "cold-room-3": (Channel("temperature", "Cel", -2), Channel("humidity", "%RH", -1)),
    "cold-room-4": (Channel("temperature", "Cel", -2),),
    "boiler": (Channel("pressure", "Pa", 2), Channel("temperature", "Cel", -1)),
    "meter-17": (Channel("energy", "kWh", -3),),
    "greenhouse": (Channel("light", "lx", 0), Channel("humidity", "%RH", 0)),
}


class Story(Board):
    """A board that measures once every ten minutes, records ten readings at a time."""

    def __init__(self, name: str, start: int) -> None:
        super().__init__(PrivateKey.from_seed(name.encode().ljust(32, b"\0")[:32]))
        self.name, self.channels, self.at = name, NAMES[name], start

    def start(self, boots: int = 1) -> Record:
        """An `open`."""
        return self.sign(replace(OPEN, boots=boots, channels=self.channels), time=self.at)

    def measure(self, records: int, readings: int = 6) -> None:
        """Records with so many readings each, five minutes apart."""
        boot = next(r.seq for r in reversed(self.records) if r.kind == 0)
        for _ in range(records):
            columns = tuple(
                tuple(_value(index, self.at + 5 * MINUTE_S * n) for n in range(readings))
                for index in range(len(self.channels))
            )
            self.sign(Readings(boot, 5 * MINUTE_S, columns), time=self.at)
            self.at += 5 * MINUTE_S * readings

    def happen(self, code: EventCode, *args: int | bytes) -> Record:
        """An event, now."""
        from tallystick.body import Event

        return self.sign(Event(code, args), time=self.at)


def _value(channel: int, at: float) -> int:
    day = 2 * math.pi * at / 86_400
    return round(
        430 + 260 * math.sin(day + channel) + 55 * math.sin(9 * day) + 22 * math.sin(37 * day)
    )


@dataclass
class Site:
    """The gateway, the boards' side, and the boards by name."""

    gateway: Gateway
    field: Field
    boards: dict[str, Story]
    silent: Board

    def name_devices(self) -> None:
        """Write the enrolment with names."""
        devices = [
            {"id": board.id.hex(), "did": board.did, "name": name, "credential": None}
            for name, board in (*self.boards.items(), ("spare-board", self.silent))
        ]
        fresh = self.gateway.folder / "enrolment.new"
        fresh.write_text(json.dumps({"version": 1, "grant": None, "devices": devices}))
        fresh.replace(self.gateway.folder / "enrolment.json")

    def anchored(self, size: int) -> None:
        """Wait until so many leaves are under confirmed anchors."""
        eventually(lambda: self.gateway.json("/healthz")["anchored"] >= size or None, "anchored")

    def size(self, size: int) -> None:
        """Wait until so many leaves are in the log."""
        eventually(lambda: self.gateway.json("/healthz")["size"] >= size or None, "in the log")


@contextmanager
def day(gateway: Gateway, field: Field, *, anchor: bool = True) -> Iterator[Site]:
    """Play the day. Everything but the last records is anchored."""
    start = int(time.time()) - 26 * 3_600
    boards = {name: Story(name, start) for name in NAMES}
    site = Site(gateway, field, boards, Board(PrivateKey.from_seed(b"silent".ljust(32, b"\0"))))
    site.name_devices()
    gateway.start()
    for board in boards.values():
        board.start()
        board.measure(30)
    room = boards["cold-room-3"]
    room.happen(EventCode.SENSOR, 0, 1)
    room.start(boots=2)
    room.measure(8)
    lost = boards["cold-room-4"].records[19:21]
    for board in boards.values():
        field.send(board, [one for one in board.records if one not in lost])
    size = sum(len(board.records) for board in boards.values()) - len(lost)
    site.size(size)
    if anchor:
        site.anchored(size)
    yield site


def clone(site: Site, name: str) -> None:
    """Somebody else uses the board's key: two records with one seq."""
    board = site.boards[name]
    twin = board.make(board.records[-6].seq, board.records[-7].id, board.records[-8].body,
                      time=board.records[-6].time + 7)  # fmt: skip
    site.field.send(board, [twin])
    site.size(sum(len(one.records) for one in site.boards.values()) - 2 + 1)


def folder_of(path: Path) -> Path:
    """Where a test keeps a gateway."""
    return path / "gw"
