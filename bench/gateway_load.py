"""End to end: 200 simulated devices, a real mosquitto, a real gateway; QoS 1, durable, acknowledged.

The clock runs from the first publish to the moment when the last device holds the gateway's signed
acknowledgement of its last record. Records are signed beforehand. Bare verification is one core's,
measured in this process before and after, with nothing else running of ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.figure import Figure
from bench.gateway_rules import bare_s, chain_of
from tallystick import checkpoint
from tallystick.did import did_key
from tallystick.keys import PrivateKey
from tallystick.note import VerifierKey
from tools.fleet import Boards, Player, write_boards
from tools.parts import LOOPBACK, Broker
from tools.site import wait_for

DEVICES = 200
RECORDS = 150  # of each device
BAR = 0.5  # of bare verification on one core
BARE_RECORDS = 2_000
PATIENCE_S = 120.0
# as `tally-gateway broker-config` writes it: enough messages in flight to fill a transaction
BROKER = """
max_inflight_messages 1000
max_queued_messages 0
set_tcp_nodelay true
autosave_on_changes false
autosave_interval 1800
"""


def figures() -> list[Figure]:
    """Records a second through everything, against bare verification."""
    key = PrivateKey.from_seed(bytes(range(32)))
    sample = chain_of(key, BARE_RECORDS, 1)
    before = bare_s(key, sample) / BARE_RECORDS
    with tempfile.TemporaryDirectory() as name:
        seconds = load_s(Path(name), fleet(DEVICES, RECORDS))
    after = bare_s(key, sample) / BARE_RECORDS
    rate = DEVICES * RECORDS / seconds
    return [
        Figure.at_least(
            "mosquitto, QoS 1, durable, acknowledged",
            round(rate * min(before, after), 2),
            "of bare verify",
            BAR,
        ),
        Figure("the same", round(rate), "records a second", "", True),
    ]


def fleet(devices: int, records: int, readings: int = 1) -> dict[PrivateKey, list[bytes]]:
    """Boards and what they have signed."""
    keys = [PrivateKey.from_seed(number.to_bytes(32, "big")) for number in range(devices)]
    return {key: chain_of(key, records, readings) for key in keys}


def enrol(folder: Path, boards: dict[PrivateKey, list[bytes]]) -> None:
    """The enrolment of these boards."""
    devices = [
        {"id": key.public.kid.hex(), "did": did_key(key.public), "name": None, "credential": None}
        for key in boards
    ]
    (folder / "enrolment.json").write_text(
        json.dumps({"version": 1, "grant": None, "devices": devices})
    )


def ledger_line() -> str:
    """A ledger that never answers: anchoring is not what is measured."""
    return str(
        VerifierKey(checkpoint.ledger_name(bytes(8)), PrivateKey.from_seed(bytes(32)).public)
    )


def load_s(folder: Path, boards: dict[PrivateKey, list[bytes]]) -> float:
    """Seconds until all records of `boards` are acknowledged."""
    records = folder / "records.cbor"
    played: Boards = [(key.public.kid, raws) for key, raws in boards.items()]
    write_boards(records, played)
    data = folder / "gateway"
    subprocess.run([*GATEWAY, "init", "--dir", data], check=True, capture_output=True)
    enrol(data, boards)
    log = folder / "gateway.log"
    with Broker(folder / "broker", config=BROKER) as broker, log.open("wb") as errors:
        gateway = subprocess.Popen(
            [
                *(*GATEWAY, "run", "--dir", str(data), "--broker", f"{LOOPBACK}:{broker.port}"),
                *("--ledger", ledger_line(), "--settle", "0"),
            ],
            stderr=errors,
        )
        try:
            wait_for("a connection", lambda: b'"connected"' in log.read_bytes(), 20)
            done = _play(records, broker.port)
        finally:
            gateway.terminate()
            gateway.wait(20)
    return done


def _play(records: Path, port: int) -> float:
    player = Player(records, port, "--seconds", str(PATIENCE_S))
    player.go()
    facts = player.facts()
    if not facts["whole"]:
        raise RuntimeError(f"only {facts['acknowledged']} records were acknowledged")
    return float(facts["seconds"])


GATEWAY = [sys.executable, "-m", "tallystick_gateway"]
