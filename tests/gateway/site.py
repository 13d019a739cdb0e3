"""A gateway with a day behind it, for tests of what people look at: boards that are well, one with a
gap, one that was cloned, one that is silent, reboots, events, and a ledger that anchors."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass

from tallystick.body import Channel, Event, EventCode, Readings
from tallystick.keys import PrivateKey
from tallystick.record import Record
from tests.gateway.boards import OPEN, Board
from tests.gateway.ledger_double import LedgerDouble
from tests.gateway.running import Field, Gateway, eventually

MINUTE_S = 60
NAMES = {
    "cold-room-3": (Channel("temperature", "Cel", -2), Channel("humidity", "%RH", -1)),
    "cold-room-4": (Channel("temperature", "Cel", -2),),
    "boiler": (Channel("pressure", "Pa", 1), Channel("temperature", "Cel", -1)),
    "meter-17": (Channel("energy", "kWh", -3),),
    "greenhouse": (Channel("light", "lx", 1), Channel("humidity", "%RH", 0)),
}


SHAPES = {
    "temperature": (4.6, 0.7, 0.5, 0.12),
    "humidity": (71, 9, 2, 0.4),
    "pressure": (101_300, 420, 90, 30),
    "energy": (18_000, 0, 0.4, 0.0),
    "light": (9_000, 16_000, 900, 150),
}


class Story(Board):
    """A board that measures once every ten minutes, records ten readings at a time."""

    def __init__(self, name: str, start: int) -> None:
        super().__init__(_key(name))
        self.name, self.channels, self.at = name, NAMES[name], start
        self.phase = 1_000 * ord(name[-1])  # no two boards measure the same

    def start(self, boots: int = 1) -> Record:
        """An `open`."""
        return self.sign(OPEN.replace(boots=boots, channels=self.channels), time=self.at)

    def measure(self, records: int, readings: int = 6) -> None:
        """Records with so many readings each, five minutes apart."""
        boot = next(r.seq for r in reversed(self.records) if r.kind == 0)
        for _ in range(records):
            columns = tuple(
                tuple(
                    _value(channel, self.phase + self.at + 5 * MINUTE_S * n)
                    for n in range(readings)
                )
                for channel in self.channels
            )
            self.sign(Readings(boot, 5 * MINUTE_S, columns), time=self.at)
            self.at += 5 * MINUTE_S * readings

    def happen(self, code: EventCode, *args: int | bytes) -> Record:
        """An event, now."""
        return self.sign(Event(code, args), time=self.at)


def _key(name: str) -> PrivateKey:
    return PrivateKey.from_seed(name.encode().ljust(32, b"\0"))


def _value(channel: Channel, at: float) -> int:
    """What such a sensor would say: level, daily swing, a faster one, and a little noise."""
    day = 2 * math.pi * (at / 86_400 - 0.33)
    level, swing, fast, noise = SHAPES[channel.name]
    value = (
        level + swing * math.sin(day) + fast * math.sin(11 * day) + noise * math.sin(at * 0.0007)
    )
    if channel.name == "energy":
        value += (at % 4e6) / 3_000
    return max(0, round(value / float(10**channel.exponent)))


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

    @classmethod
    def make(cls, gateway: Gateway, field: Field) -> Site:
        """Nothing has happened yet."""
        start = int(time.time()) - 51 * 30 * MINUTE_S
        boards = {name: Story(name, start) for name in NAMES}
        return cls(gateway, field, boards, Board(_key("silent")))

    def anchored(self, size: int) -> None:
        """Wait until so many leaves are under confirmed anchors."""
        eventually(lambda: self.gateway.json("/healthz")["anchored"] >= size or None, "anchored")

    def sized(self, size: int) -> None:
        """Wait until so many leaves are in the log."""
        eventually(lambda: self.gateway.json("/healthz")["size"] >= size or None, "in the log")


def play(site: Site, ledger: LedgerDouble) -> None:
    """Play the day. The ledger stops to confirm before the last hours."""
    gateway, boards = site.gateway, site.boards
    site.name_devices()
    eventually(lambda: gateway.json("/healthz")["devices"] == 1 + len(boards) or None, "enrolment")
    for board in boards.values():
        board.start()
        board.measure(32)
    boards["boiler"].happen(EventCode.SENSOR, 0, 1)
    boards["cold-room-3"].start(boots=2)
    lost = boards["cold-room-4"].records[19:21]
    sent = dict.fromkeys(boards, 0)

    def send(upto: int | None) -> None:
        for name, board in boards.items():
            fresh = board.records[sent[name] : upto]
            site.field.send(board, [one for one in fresh if one not in lost])
            sent[name] += len(fresh)
        site.sized(sum(sent.values()) - (len(lost) if sent["cold-room-4"] > 20 else 0))

    for upto in (8, 17, 26, None):
        send(upto)
        site.anchored(gateway.json("/healthz")["size"])
    ledger.automatic = False
    for board in boards.values():
        board.measure(19)
    for upto in (44, None):
        send(upto)
    # the same key in two hands: another record with a seq that is taken
    board = boards["greenhouse"]
    taken = board.records[-5]
    twin = board.make(taken.seq, taken.prev, board.records[-6].body, time=taken.time)
    size = gateway.json("/healthz")["size"]
    site.field.send(board, [twin])
    site.sized(size + 1)
    # and a board that says again what it once said
    site.field.send(boards["boiler"], boards["boiler"].records[-3:])
    eventually(lambda: gateway.json("/healthz")["pending"] >= 1 or None, "a pending anchor")
