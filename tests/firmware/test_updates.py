"""Updates over the air: whatever comes, and whenever the power goes, a board runs afterwards, and its chain says why.

A board that can be updated wrongly is lost in the field; one that takes anybody's code signs anybody's readings.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from tallystick import update
from tallystick.keys import PrivateKey
from tallystick.update import Kind, Update
from tests.firmware.bench import (
    FIRMWARE,
    GatewayDouble,
    Signed,
    Signer,
    VirtualBoard,
    check_chain,
    genesis_prev,
    kid,
)
from tests.firmware.new_agents import (
    MACHINES,
    Carrier,
    agent,
    compiled,
    digest,
    packed,
    packed_program,
    program,
    signed_index,
)
from tests.parts import Broker

PATIENCE_S = 110
VERSION = 'VERSION = "9.0.0"\n'
NOT_AN_AGENT = {
    "does not import": "raise ImportError('no such thing')\n",
    "hangs": "while True:\n    pass\n",
    "dies at once": "import machine\nmachine.reset()\n",
}


class Updated:
    """A running board (a simulator) with an update key, its gateway, and the one who carries updates."""

    def __init__(
        self,
        folder: Path,
        broker: Broker,
        *,
        bits: int = 64,
        heap: str | None = None,
        pinned: bool = True,
        world: Mapping[str, object] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.folder = folder
        self.key = PrivateKey.generate()
        folder.mkdir(parents=True, exist_ok=True)
        if world is not None:
            (folder / "world.json").write_text(json.dumps(world))
        self.board = VirtualBoard(folder, bits=bits, heap=heap, restart=True)
        self.board.start()
        signer = Signer()
        wanted = {"interval_ms": 300, **(settings or {})}
        public = self.board.provision(Signer(), signer, broker.port, **wanted)
        if pinned:
            self.pin()
        self.carrier = Carrier(broker.port, kid(public))
        self.double = GatewayDouble(broker.port, public, signer)
        self.double.automatic = True
        self.board.ok("run")
        self.double.wait(3)

    def pin(self) -> None:
        self.board.ok(f"set updates {self.key.public.raw.hex()}")

    def close(self) -> None:
        self.double.__exit__()
        self.carrier.close()
        self.board.kill()

    def until(self, *wanted: str) -> dict[str, object]:
        """What the board says of its update, once it is one of these states."""

        def there() -> bool:
            return bool(self.carrier.states) and self.carrier.states[-1]["state"] in wanted

        wait(there, lambda: f"{self.carrier.states}, {self.board.said[-20:]}")
        return self.carrier.states[-1]

    def events(self) -> list[list[object]]:
        """The arguments of the chain's events of updates."""
        return [
            one.payload[5:] for one in self.double.chain() if one.kind == 3 and one.payload[4] == 6
        ]

    def opens(self) -> list[Signed]:
        return [one for one in self.double.chain() if one.kind == 0]

    def check_runs(self, wanted: bytes) -> None:
        """The board measures with the agent of this digest, and its chain is whole."""
        last = self.board.status()["next"]
        wait(lambda: last in self.double.records, lambda: f"{last}: {self.board.said[-20:]}")
        assert wanted == self.opens()[-1].payload[6]
        assert wanted.hex() == self.board.info()["digest"]
        check_chain(self.double.chain(), genesis_prev(self.double.keys[0]))


def wait(
    there: Callable[[], bool], said: Callable[[], str], patience_s: float = PATIENCE_S
) -> None:
    deadline = time.monotonic() + patience_s
    while not there():
        assert time.monotonic() < deadline, said()
        time.sleep(0.05)


@pytest.fixture
def updated(tmp_path: Path, broker: Broker) -> Iterator[Updated]:
    made = Updated(tmp_path / "board", broker)
    try:
        yield made
    finally:
        made.close()


def changed(folder: Path, version: str = VERSION, architecture: str = "x64") -> dict[str, bytes]:
    """The agent, with another version and a module that no agent had before."""
    files = agent(architecture)
    files["tally/version.mpy"] = compiled(folder, "version", version, architecture)
    files["tally/news.mpy"] = compiled(folder, "news", f"X = {'news' * 700!r}\n", architecture)
    return files


@pytest.mark.timeout(300)
@pytest.mark.parametrize("bits", [64, 32])
def test_there_and_back(tmp_path: Path, broker: Broker, bits: int) -> None:
    """An update that is never used cannot be trusted; nor can one that only ever goes one way."""
    architecture = "x64" if bits == 64 else "armv7emdp"
    machine = MACHINES[architecture]
    made = Updated(tmp_path / "board", broker, bits=bits)
    try:
        old = agent(architecture)
        files = changed(tmp_path, architecture=architecture)
        made.carrier.offer(packed(made.key, 5, files, machine=machine))
        made.until("done")
        made.check_runs(digest(files))
        assert [[b"0.1.0", b"9.0.0", 0]] == made.events()
        # only what is new was fetched: two files and the index
        new = len(files["tally/version.mpy"]) + len(files["tally/news.mpy"])
        assert made.carrier.asked <= 4 + (new + len(update.index_of(files))) // 768
        # a power cut later it is still the one, and says nothing twice
        made.board.restart()
        made.check_runs(digest(files))
        # and the next one goes to the first place
        made.carrier.offer(packed(made.key, 6, old, machine=machine, version="0.1.0"))
        made.until("done")
        made.check_runs(digest(old))
        assert [[b"0.1.0", b"9.0.0", 0], [b"9.0.0", b"0.1.0", 0]] == made.events()
        assert 6 == made.board.info()["update"]
    finally:
        made.close()


@pytest.mark.timeout(300)
def test_the_power_goes_at_every_part(updated: Updated, tmp_path: Path) -> None:
    """A board whose power goes while it is updated would be half of two agents."""
    files = changed(tmp_path)
    asked: list[bytes] = []

    def before(question: bytes) -> bool:
        asked.append(question)
        return asked.count(question) > 1  # at first it gets no answer, and its power goes

    updated.carrier.before = before
    updated.carrier.offer(packed(updated.key, 5, files))
    seen, starts = 0, 0

    def further() -> bool:
        return len(asked) > seen or any(one["state"] == "done" for one in updated.carrier.states)

    while True:
        wait(further, lambda: f"{asked}, {updated.carrier.states}, {updated.board.said[-20:]}")
        if len(asked) == seen:
            break
        times, parts = asked.count(asked[-1]), len(set(asked))
        seen = len(asked)
        if times > 1 + parts % 2:
            continue  # this time it goes on
        if times > 1:
            time.sleep(0.005 * (parts % 5))  # before, while and after the part is written
        updated.board.restart()
        starts += 1
    assert starts >= 10
    updated.check_runs(digest(files))
    assert [[b"0.1.0", b"9.0.0", 0]] == updated.events()


def test_what_is_refused(updated: Updated, tmp_path: Path) -> None:
    """Whoever can write to the broker could put code on a board, or an old agent with a known hole."""
    old = agent()
    files = changed(tmp_path)
    key, carrier = updated.key, updated.carrier

    def refused(carried: Update, manifest: bytes | None = None) -> object:
        carrier.offer(carried, manifest)
        return updated.until("refused", "done")["code"]

    good = packed(key, 5, files)
    raw = good.manifest.signed.raw
    assert "update.signature" == refused(packed(PrivateKey.generate(), 5, files))
    assert "update.signature" == refused(good, raw[:-1] + bytes([raw[-1] ^ 1]))
    assert "update.signature" == refused(good, raw[:30] + bytes([raw[30] ^ 1]) + raw[31:])
    assert "update.signature" == refused(good, raw[:-10])
    assert "update.signature" == refused(good, b"\xff" * 300)
    assert "update.minimum" == refused(packed(key, 5, files, minimum=3))
    assert "update.target" == refused(packed(key, 5, files, board="ESP32_GENERIC"))
    assert "update.target" == refused(packed(key, 5, files, machine=MACHINES["armv7emdp"]))
    # the start itself never comes over the air
    assert "update.start" == refused(packed(key, 5, {**files, "boot.py": b"# another\n"}))
    # nor does anything outside of the agent's folders, whoever signed it
    index = update.index_of({**files, "config.json": b"{}"})
    signed = update.sign_manifest(
        key, counter=5, minimum=0, version="9", kind=Kind.AGENT, board=None,
        machine=MACHINES["x64"], index=index,
    )  # fmt: skip
    carrier.update = good.replace(manifest=update.parse_manifest(signed), index=index)
    assert "update.path" == refused(carrier.update)
    # somebody on the way gives other bytes: the board asks again, and then no more
    carrier.spoil = lambda part: part[:-1] + bytes([part[-1] ^ 1])
    assert "update.hash" == refused(good)
    carrier.spoil = lambda part: part
    updated.check_runs(digest(old))
    assert 0 == updated.board.info()["update"]
    assert [] == updated.events()
    # none of that stands in the way of the good one, and none of the old ones comes back afterwards
    carrier.offer(good)
    updated.until("done")
    updated.check_runs(digest(files))
    assert "update.counter" == refused(packed(key, 4, old))
    assert "update.counter" == refused(packed(key, 5, old))
    updated.check_runs(digest(files))


def test_a_board_without_an_update_key(tmp_path: Path, broker: Broker) -> None:
    """A board whose owner wants no updates would get them all the same."""
    made = Updated(tmp_path / "board", broker, pinned=False)
    try:
        made.carrier.offer(packed(made.key, 5, changed(tmp_path)))
        assert "update.key" == made.until("refused")["code"]
        assert 0 == made.carrier.asked
        made.pin()
        assert "ERROR refused" in made.board.command(f"set updates {'11' * 32}")
        made.pin()
        assert made.key.public.raw.hex() == made.board.info()["updates"]
        made.board.ok(f"unset owner {made.board.info()['id']}")
        assert made.board.info()["updates"] is None
    finally:
        made.close()


@pytest.mark.timeout(300)
def test_agents_that_do_not_live(tmp_path: Path, broker: Broker) -> None:
    """The update that nobody had tried: every board of the fleet would have to be visited."""
    files = agent()
    bad = {
        name: {**files, "tally/life.mpy": compiled(tmp_path / name, "life", source)}
        for name, source in NOT_AN_AGENT.items()
    }
    # MicroPython hangs on it at import
    bad["is cut off"] = {**files, "tally/life.mpy": files["tally/life.mpy"][:-100]}
    bad["is not heard of"] = changed(tmp_path)
    boards = {
        name: Updated(
            tmp_path / f"board {number}",
            broker,
            world={"timer_ms": 2500} if "heard" in name else {"watchdog_ms": 4000},
        )
        for number, name in enumerate(bad)
    }
    try:
        for name, one in boards.items():
            if "heard" in name:
                one.double.automatic = (
                    False  # its gateway is away, and stays away until it is undone
                )
            one.carrier.offer(packed(one.key, 7, bad[name]))
        deaf = boards["is not heard of"]
        wait(
            lambda: sum("# running" in line for line in deaf.board.said) == 5,
            lambda: f"{deaf.board.said[-20:]}",
        )
        deaf.double.automatic = True
        deaf.double.acknowledge()
        for name, one in boards.items():
            state = one.until("undone")
            assert (7, "undone") == (state["counter"], state["state"]), name
            one.check_runs(digest(files))
            assert [[b"0.1.0", b"9.0.0", 1]] == one.events(), name
            assert 7 == one.board.info()["update"], name
        # the three starts of the agent that nobody heard of stand in the chain
        wanted = digest(bad["is not heard of"])
        assert 3 == sum(one.payload[6] == wanted for one in deaf.opens())
        # it is not tried again, and the next one is
        for one in boards.values():
            one.board.restart()
        again = boards["hangs"]
        again.check_runs(digest(files))
        again.carrier.offer(packed(again.key, 8, changed(tmp_path)))
        again.until("done")
        again.check_runs(digest(changed(tmp_path)))
        for one in boards.values():
            assert 1 == sum(event[2] == 1 for event in one.events())
    finally:
        for one in boards.values():
            one.close()


@pytest.mark.timeout(300)
def test_another_program(tmp_path: Path, broker: Broker) -> None:
    """A board whose MicroPython has a hole is replaced by hand, or a bad image ends its life."""
    folder = tmp_path / "board"
    old, new, bad = (program(word * 3000) for word in (b"old program", b"a new one", b"a bad one"))
    made = Updated(folder, broker)
    try:
        assert made.folder == folder
        carrier, key = made.carrier, made.key

        def refused(carried: Update) -> object:
            carrier.offer(carried)
            return made.until("refused", "done")["code"]

        # an ordinary board has no slot for it, whatever it is made for
        assert "update.target" == refused(packed_program(key, 5, new))
        carrier.withdraw()
        shutil.copyfile(FIRMWARE / "virtual" / "partitions-4MiB-ota.csv", folder / "partitions.csv")
        (folder / "partitions").mkdir()
        (folder / "partitions" / "ota_0.bin").write_bytes(old)
        made.board.restart()
        made.double.wait(len(made.double.records) + 2)
        assert "update.target" == refused(packed_program(key, 5, new, machine=5))
        assert "update.target" == refused(packed_program(key, 5, new[:-1] + b"x"))  # no program
        for path, code in (
            ("image/0000000g", "update.path"),
            ("image/0000000", "update.path"),
            ("image/00001000", "update.index"),
        ):
            index = f"{path} 4 {sha256(b'abcd').hexdigest()}\n".encode()
            assert code == refused(signed_index(key, 5, index)), path

        # an index that the flash has changed meanwhile
        def spoils(_: bytes) -> bool:
            if carrier.asked == 4:
                (folder / "flash" / "update" / "index").write_bytes(b"x")
            return True

        carrier.asked, carrier.before = 0, spoils
        assert "update.index" == refused(packed_program(key, 5, new))
        cuts = iter(range(5))

        def before(_: bytes) -> bool:
            if carrier.asked % 9 == 0 and next(cuts, None) is not None:
                power.set()
            return True

        power = threading.Event()
        carrier.before = before
        carrier.offer(packed_program(key, 5, new))
        while not any(one["state"] in ("done", "undone", "refused") for one in carrier.states):
            if power.wait(0.05):
                power.clear()
                made.board.restart()
        made.check_runs(digest(agent()))
        runs = (folder / "partitions" / "ota_1.bin").read_bytes()
        assert new == runs[: len(new)]
        assert "ota_1" == json.loads((folder / "otadata.json").read_text())["running"]
        before_it = "micropython-1.25.0"
        assert before_it.encode() == made.events()[0][0]
        assert [b"9.9.9", 0] == made.events()[0][1:]
        # one that nobody hears of goes by itself: the bootloader takes the one before
        (folder / "world.json").write_text(json.dumps({"timer_ms": 2000}))
        carrier.offer(packed_program(key, 6, bad))
        made.until("switching", "undone")
        made.double.automatic = False
        wait(
            lambda: sum("# update 6 is undone" in line for line in made.board.said) > 0,
            lambda: f"{made.board.said[-20:]}",
        )
        made.double.automatic = True
        made.double.acknowledge()
        assert "undone" == made.until("undone")["state"]
        assert "ota_1" == json.loads((folder / "otadata.json").read_text())["running"]
        made.check_runs(digest(agent()))
        assert [before_it.encode(), b"9.9.9", 1] == made.events()[-1]
    finally:
        made.close()
