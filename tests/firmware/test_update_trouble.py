"""Updates over the air where the world is against them: a flash that is full or worn, others who talk, too, and an
engineer who has forgotten something.

A board that such a thing stops is lost to updates; one that it confuses is lost altogether.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick import cbor, cose, update
from tallystick.cose import Typ
from tallystick.keys import PrivateKey
from tests.firmware.new_agents import agent, compiled, digest, packed
from tests.firmware.test_end_to_end import world
from tests.firmware.test_updates import Updated, changed, wait
from tests.parts import Broker

OWN_DRIVER = """
class Sensor:
    channels = (("level", "m", -3),)

    def read(self):
        return (7,)
"""


@pytest.fixture
def updated(tmp_path: Path, broker: Broker) -> Iterator[Updated]:
    made = Updated(tmp_path / "board", broker)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.timeout(300)
def test_a_flash_without_room(tmp_path: Path, broker: Broker) -> None:
    """The board would fill its flash and lose its records, or say nothing, and nobody would know why it stays old."""
    folder = tmp_path / "board"
    small = {"storage": "good", "flash_kib": 300}
    made = Updated(folder, broker, world=small, settings={"interval_ms": 1000})
    try:
        files = changed(tmp_path)
        good = packed(made.key, 5, files)
        made.carrier.offer(good)
        refused = made.until("refused", "done")
        assert ("update.space", 5) == (refused["code"], refused["counter"])
        assert "bytes are needed" in str(refused["detail"])
        made.check_runs(digest(agent()))
        # full to the last byte, from the manifest on: it is told, and the board goes on
        world(made.board, **{**small, "storage": "flash full", "flash_kib": 2000})
        made.carrier.offer(packed(made.key, 6, files))
        assert "update.space" == made.until("refused", "done")["code"]
        world(made.board, **{**small, "flash_kib": 2000})
        # and in the middle of things: what was fetched gives its room back
        made.carrier.before = lambda _: False
        made.carrier.offer(packed(made.key, 7, files))
        wait(lambda: made.carrier.asked > 0, lambda: f"{made.board.said[-20:]}")

        def full(_: bytes) -> bool:
            world(made.board, **{**small, "storage": "flash full", "flash_kib": 2000})
            return True

        made.carrier.before = full
        assert "update.space" == made.until("refused", "done")["code"]
        assert [] == [path for path in (folder / "flash" / "b").rglob("*") if path.is_file()]
        world(made.board, **{**small, "flash_kib": 2000})
        made.carrier.before = lambda _: True
        made.carrier.offer(good)
        made.until("done")
        made.check_runs(digest(files))
        assert [[b"0.1.0", b"9.0.0", 0]] == made.events()
    finally:
        made.close()


@pytest.mark.timeout(300)
def test_what_is_half_there_needs_no_room_twice(tmp_path: Path, broker: Broker) -> None:
    """A power cut would turn an update that fits into one that does not."""
    folder = tmp_path / "board"
    roomy = {"storage": "good", "flash_kib": 4096}
    made = Updated(folder, broker, world=roomy, settings={"interval_ms": 3000})
    try:
        files = changed(tmp_path)
        large = 60_000
        files["lib/aaa.mpy"] = compiled(tmp_path, "aaa", f"X = {'long' * (large // 4)!r}\n")
        length = len(files["lib/aaa.mpy"])
        made.carrier.before = lambda question: int(question.split()[1]) < length - 3000
        made.carrier.offer(packed(made.key, 5, files))
        half = folder / "flash" / "b" / "lib" / "aaa.mpy~"
        wait(
            lambda: half.exists() and half.stat().st_size >= length - 4000,
            lambda: f"{made.carrier.states} {made.board.said[-20:]}",
        )
        blocks = sum(
            -(-path.stat().st_size // 4096)
            for path in (folder / "flash").rglob("*")
            if path.is_file()
        )
        missing = sum(len(data) + 4096 for path, data in files.items() if "/" in path)
        room = blocks * 4096 + missing + 65536 - half.stat().st_size + 20_000
        world(made.board, **{**roomy, "flash_kib": room // 1024})
        made.carrier.before = lambda _: True
        made.board.restart()
        made.until("done", "refused")
        made.check_runs(digest(files))
    finally:
        made.close()


@pytest.mark.timeout(300)
def test_a_flash_that_is_worn(tmp_path: Path, broker: Broker) -> None:
    """One bad place in the flash, where only an update writes, and the board would start anew for ever."""
    folder = tmp_path / "board"
    made = Updated(folder, broker, world={"storage": "good"})
    try:
        files = changed(tmp_path)

        def wears(_: bytes) -> bool:
            world(made.board, storage="flash worn")
            return True

        made.carrier.before = wears
        made.carrier.offer(packed(made.key, 5, files))
        refused = made.until("refused", "done")
        assert ("update.storage", "error 5") == (refused["code"], refused["detail"])
        wait(lambda: _starts(made) == 4, lambda: f"{made.board.said[-20:]}")
        made.check_runs(digest(agent()))
        # it is not tried again, by no start
        assert 5 == made.board.info()["update"]
        made.board.restart()
        made.check_runs(digest(agent()))
        assert 5 == _starts(made)
        assert [] == made.events()
        world(made.board, storage="good")
        made.carrier.before = lambda _: True
        made.carrier.offer(packed(made.key, 6, files))
        made.until("done")
        made.check_runs(digest(files))
    finally:
        made.close()


def _starts(made: Updated) -> int:
    return made.board.said.count("# running")


@pytest.mark.timeout(300)
def test_a_driver_that_the_update_forgot(tmp_path: Path, broker: Broker) -> None:
    """The new agent would borrow it from the old place, be called good, and stand there without a sensor, and deaf, as
    soon as the next update makes room there.
    """
    made = Updated(tmp_path / "board", broker, world={"watchdog_ms": 4000})
    try:
        driver = compiled(tmp_path, "own", OWN_DRIVER)
        (made.folder / "flash" / "lib" / "own.mpy").write_bytes(driver)
        made.board.ok('set config {"sensor": "own"}')
        made.board.ok("reset")
        wait(lambda: made.opens()[-1].payload[9] == [[b"level", b"m", -3]], lambda: "no driver")
        files = changed(tmp_path)
        made.carrier.offer(packed(made.key, 5, files))
        assert "undone" == made.until("done", "undone")["state"]
        made.check_runs(digest({**agent(), "lib/own.mpy": driver}))
        with_it = {**files, "lib/own.mpy": driver}
        made.carrier.offer(packed(made.key, 6, with_it))
        assert "done" == made.until("done", "undone")["state"]
        made.check_runs(digest(with_it))
        assert [[b"0.1.0", b"9.0.0", 1], [b"0.1.0", b"9.0.0", 0]] == made.events()
    finally:
        made.close()


@pytest.mark.timeout(300)
def test_others_who_talk(updated: Updated, tmp_path: Path) -> None:
    """Whoever can write to the broker could stop an update, or have another one put together."""
    files = changed(tmp_path)
    good, other = packed(updated.key, 5, files), packed(updated.key, 6, agent())
    junk = packed(PrivateKey.generate(), 7, files).manifest.signed.raw
    carrier = updated.carrier

    def before(question: bytes) -> bool:
        want = update.parse_want(question)
        there = good.answer(want)
        assert there is not None
        foreign = next(iter(other.objects.values()))
        for part in (
            b"",
            there[:36],  # nothing in it
            there[:35],
            hashlib.sha256(foreign).digest() + bytes(4) + foreign[:500],
            want.sha256 + (want.offset + 1).to_bytes(4, "big") + there[37:],
            want.sha256 + (want.offset + 2**31).to_bytes(4, "big") + there[36:],
            there + bytes(70_000),  # read past
        ):
            carrier.send(part)
        if carrier.asked % 3 == 0:
            carrier.say(junk)
            carrier.say(b"\xff" * 200)
        carrier.send(there)  # it comes twice
        return True

    carrier.before = before
    carrier.offer(good)
    updated.until("done")
    updated.check_runs(digest(files))
    assert [[b"0.1.0", b"9.0.0", 0]] == updated.events()
    assert not any("not what was signed" in line for line in updated.board.said)
    refused = [one for one in carrier.states if one["state"] == "refused"]
    assert {"update.signature"} == {one["code"] for one in refused}


@pytest.mark.timeout(300)
def test_one_update_after_another(updated: Updated, tmp_path: Path) -> None:
    """Two engineers publish at once: the board would run half of each, or stay on trial for ever."""
    first = changed(tmp_path / "1", 'VERSION = "9.0.1"\n')
    second = changed(tmp_path / "2", 'VERSION = "9.0.2"\n')
    third = changed(tmp_path / "3", 'VERSION = "9.0.3"\n')
    carrier = updated.carrier
    carrier.before = lambda _: carrier.asked < 8
    carrier.offer(packed(updated.key, 5, first, version="9.0.1"))
    wait(lambda: carrier.asked >= 8, lambda: f"{updated.board.said[-20:]}")
    carrier.before = lambda _: False
    carrier.offer(packed(updated.key, 6, second, version="9.0.2"))
    wait(lambda: "# update 6 to 9.0.2" in updated.board.said, lambda: f"{updated.board.said[-20:]}")
    # who keeps the older one cannot have it taken in its place
    carrier.say(packed(updated.key, 5, first, version="9.0.1").manifest.signed.raw)
    assert "update.counter" == updated.until("refused", "done")["code"]
    carrier.before = lambda _: True
    updated.until("switching")
    # in the middle of the trial, which nobody acknowledges yet
    updated.double.automatic = False
    wait(lambda: updated.opens()[-1].payload[6] == digest(second), lambda: f"{carrier.states}")
    carrier.offer(packed(updated.key, 7, third, version="9.0.3"))
    before = updated.board.status()["next"]
    wait(
        lambda: updated.board.status()["next"] > before + 3,
        lambda: f"{updated.board.said[-20:]}",
    )
    assert "# update 7 to 9.0.3" not in updated.board.said
    updated.double.automatic = True
    updated.double.acknowledge()
    wait(
        lambda: {"counter": 7, "state": "done", "version": "9.0.3"} in carrier.states,
        lambda: f"{carrier.states}, {updated.board.said[-20:]}",
    )
    updated.check_runs(digest(third))
    told = [[b"0.1.0", b"9.0.2", 0], [b"9.0.2", b"9.0.3", 0]]
    assert told == updated.events()


@pytest.mark.timeout(300)
def test_an_owner_who_leaves(updated: Updated, tmp_path: Path) -> None:
    """What the last owner had begun would run on the board of the next one."""
    files = changed(tmp_path)
    carrier = updated.carrier
    carrier.before = lambda _: carrier.asked < 8
    carrier.offer(packed(updated.key, 5, files))
    wait(lambda: carrier.asked >= 8, lambda: f"{updated.board.said[-20:]}")
    updated.board.ok(f"unset owner {updated.board.info()['id']}")
    updated.board.ok(f"set updates {PrivateKey.generate().public.raw.hex()}")
    carrier.before = lambda _: True
    assert "update.key" == updated.until("refused", "switching", "done")["code"]
    assert 0 == updated.board.info()["update"]
    assert digest(agent()).hex() == updated.board.info()["digest"]


@pytest.mark.timeout(300)
def test_an_index_that_the_flash_has_lost(updated: Updated, tmp_path: Path) -> None:
    """A damaged byte in what is kept would make the board refuse a good update for ever."""
    files = changed(tmp_path)
    carrier = updated.carrier
    offered = packed(updated.key, 5, files)
    index = updated.folder / "flash" / "update" / "index"
    carrier.before = lambda question: offered.manifest.index.hex().encode() in question
    carrier.offer(offered)
    wait(index.exists, lambda: f"{updated.board.said[-20:]}")
    updated.board.kill()
    good = index.read_bytes()
    index.write_bytes(good.replace(b"tally/news", b"tally new/"))
    carrier.states.clear()
    carrier.before = lambda _: True
    updated.board.start()
    assert "done" == updated.until("refused", "done")["state"]
    updated.check_runs(digest(files))


def test_a_word_that_is_none(updated: Updated, tmp_path: Path) -> None:
    """A version that cannot be shown would end the agent at each connection."""
    files = changed(tmp_path)
    good = packed(updated.key, 5, files)
    for version in (b"\xff\xfe", b"OK\nOK"):
        fields = [5, 0, version, 0, None, 518, len(good.index), good.manifest.index]
        signed = cose.sign(updated.key, Typ.UPDATE, cbor.encode(fields))
        updated.carrier.offer(good, signed)
        assert "update.shape" == updated.until("refused", "done")["code"]
    updated.check_runs(digest(agent()))
    assert 1 == _starts(updated)
