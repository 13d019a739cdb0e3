"""`tally update`: the key, the update file, and what is said when something is wrong."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tallystick import did, update
from tallystick.keys import PrivateKey
from tallystick_host.enrol import Settings
from tallystick_host.errors import UndoneError
from tests.firmware.new_agents import program
from tests.host_tools.conftest import Ran, Tally
from tests.host_tools.scripted_board import ScriptedBoard
from tests.host_tools.test_enrol import Desk

BYTECODE = b"M\x06\x00\x1f"  # compiled for any architecture
NATIVE = b"M\x06" + bytes([10 << 2 | 3]) + b"\x1f"  # for xtensawin
FILES = {
    "boot.py": b"# start\n",
    "main.py": b"# start, too\n",
    "tally/life.mpy": BYTECODE + b"life",
    "sensors/one.mpy": BYTECODE + b"one",
}
PLAIN_MAKE = ("make", "--architecture", "xtensawin", "--agent", "agent")


def agent(tally: Tally, **changes: bytes | None) -> None:
    for path, data in {**FILES, **changes}.items():
        if data is not None:
            tally.write(f"agent/{path}", data)


def made(tally: Tally, *argv: str) -> Ran:
    agent(tally)
    tally("update", "keygen")
    return tally("update", *PLAIN_MAKE, *argv)


def test_the_key_is_made_once(tally: Tally) -> None:
    """Broken: a second call leaves a fleet that takes no update any more, or the key open to all."""
    first = tally("update", "keygen")
    assert 0 == first.status
    key, public = tally.home / "update.key", tally.home / "update.pub"
    assert 0o600 == stat.S_IMODE(key.stat().st_mode)
    assert (
        first.out
        == public.read_text()
        == f"{did.did_key(PrivateKey.from_pem(key.read_bytes()).public)}\n"
    )
    before = key.read_bytes()
    again = tally("update", "keygen", "--json")
    assert first.out.strip() == json.loads(again.out)["key"]
    assert before == key.read_bytes()
    assert "nothing to do" in again.err
    assert b"PRIVATE" not in first.err.encode() + first.out.encode()


def test_an_update_is_made_shown_and_checked(tally: Tally) -> None:
    """Broken: an engineer publishes something else than he packed, or what no board takes."""
    ran = made(tally, "--counter", "7", "--agent-version", "1.2.0", "-o", "a.tallyup", "--json")
    assert 0 == ran.status, ran.err
    facts = json.loads(ran.out)
    one = update.parse((tally.cwd / "a.tallyup").read_bytes())
    assert ("xtensawin", 2566) == (facts["machine"], one.manifest.machine)
    assert (7, "1.2.0", one.manifest.digest.hex(), 4) == tuple(
        facts[name] for name in ("counter", "version", "digest", "files")
    )
    shown = json.loads(tally("update", "show", "a.tallyup", "--json").out)
    assert {name: value for name, value in facts.items() if name != "path"} == shown
    assert "counter    7\n" in tally("update", "show", "a.tallyup").out
    checked = tally("update", "check", "a.tallyup")
    assert (0, "good: update 7 to 1.2.0, by ") == (checked.status, checked.out[:28])
    inspected = json.loads(tally("inspect", "a.tallyup", "--json").out)
    assert ("update", 7) == (inspected["what"], inspected["counter"])
    tally.write("m.cose", one.manifest.signed.raw)
    assert "update manifest" == json.loads(tally("inspect", "m.cose", "--json").out)["what"]
    # another key than the one that boards pin
    tally.write("other.pub", did.did_key(PrivateKey.generate().public) + "\n")
    ran = tally("update", "check", "a.tallyup", "--update-key", "other.pub")
    assert 1 == ran.status
    assert "hint: boards take updates of the key that was pinned" in ran.err
    # one byte on the way
    raw = bytearray((tally.cwd / "a.tallyup").read_bytes())
    raw[-1] ^= 1
    tally.write("b.tallyup", bytes(raw))
    ran = tally("update", "check", "b.tallyup")
    assert 1 == ran.status
    assert "(update.hash)" in ran.err
    ran = tally("update", "show", "m.cose")
    assert 5 == ran.status
    assert (
        "not an update file (update.magic)\nhint: tally update make writes update files" in ran.err
    )


def test_what_cannot_be_an_update(tally: Tally) -> None:
    """Broken: a board finds out in the field what a desk could have said."""
    agent(tally)
    ran = tally("update", *PLAIN_MAKE)
    assert 2 == ran.status
    assert "update.key'\nhint: tally update keygen makes one" in ran.err
    tally("update", "keygen")
    where = ("--broker", "127.0.0.1:1", "--gateway", "x")
    for argv, said in (
        (("make",), "one of --board and --architecture\nhint: tally boards lists the boards"),
        ((*PLAIN_MAKE, "--counter", "0"), "--counter"),
        ((*PLAIN_MAKE, "--agent-version", "two words"), "--agent-version is one word"),
        (("make", "--architecture", "z80"), "'z80' is not one of"),
        (("make", "--board", "ESP32_GENERIC", "--image", "none.bin"), "cannot read 'none.bin'"),
        ((*PLAIN_MAKE, "--counter", "7", "--minimum", "7"), "no board could take it\nhint: "),
        (("publish", "none.tallyup", *where, "--all"), "hint: tally update make writes update"),
        ((*PLAIN_MAKE[:-1], "."), "holds no agent: there is no main.py\nhint: python firmware/"),
        (("withdraw", *where), "which boards?\nhint: --device BOARD, as often as needed, or --all"),
        (("withdraw", *where, "--all", "--device", "x"), "which boards?"),
        (("check", "none.tallyup"), "cannot read 'none.tallyup'"),
    ):
        ran = tally("update", *argv)
        assert ran.status in (2, 5), ran.err
        assert said in ran.err
        assert "Traceback" not in ran.err
    for path, data, said in (
        ("tally/x.py", b"print()", "tally/x.py is not compiled\nhint: python firmware/build.py"),
        ("tally/x.mpy", b"M\x05\x00\x1f", "tally/x.mpy is no .mpy of version 6"),
        ("tally/x.mpy", b"", "tally/x.mpy is no .mpy of version 6"),
        ("tally/x.mpy", BYTECODE + bytes(70_000), "tally/x.mpy has 70004 bytes"),
        ("tally/x y.mpy", BYTECODE, "(update.index)"),
    ):
        target = tally.write(f"agent/{path}", data)
        ran = tally("update", *PLAIN_MAKE)
        assert 2 == ran.status
        assert said in ran.err
        target.unlink()
    tally.write("agent/tally/x.mpy", NATIVE)
    assert 0 == tally("update", *PLAIN_MAKE, "-o", "n.tallyup").status
    ran = tally("update", "make", "--architecture", "rv32imc", "--agent", "agent")
    assert "tally/x.mpy is made for xtensawin, not for rv32imc" in ran.err
    ran = tally("update", *PLAIN_MAKE, "-o", "n.tallyup")
    assert "'n.tallyup' exists already" in ran.err


def test_an_image(tally: Tally) -> None:
    """Broken: a MicroPython for another chip, or with a bootloader before it, goes out to the boards."""
    tally("update", "keygen")
    image = program(b"micropython" * 4000)
    tally.write("app.bin", image)
    ran = tally(
        *("update", "make", "--board", "ESP32_GENERIC", "--image", "app.bin"),
        *("--agent-version", "1.26.1", "-o", "i.tallyup", "--json"),
    )
    assert 0 == ran.status, ran.err
    facts = json.loads(ran.out)
    assert ("image", "esp32", None) == (facts["kind"], facts["machine"], facts["digest"])
    one = update.parse((tally.cwd / "i.tallyup").read_bytes())
    assert image == b"".join(one.objects[entry.sha256] for entry in one.entries)
    for board, data, said in (
        ("ESP32_GENERIC_C3", image, "the image is not made for the esp32c3 (image.chip)"),
        ("ESP32_GENERIC", b"MZ" + image, "this is no program of an ESP32 (image.form)"),
    ):
        tally.write("other.bin", data)
        ran = tally("update", "make", "--board", board, "--image", "other.bin")
        assert 2 == ran.status
        assert said in ran.err


class Pinning(ScriptedBoard):
    """A board (a simulator) that knows update keys, and holds the first one."""

    pinned: str | None = None

    def _set(self, rest: str) -> str:
        what, *values = rest.split()
        if what != "updates":
            return super()._set(rest)
        if self.pinned not in (None, values[0]):
            return "ERROR refused this board has another update key"
        self.pinned = values[0]
        return "OK"


class Older(ScriptedBoard):
    """A board (a simulator) whose agent knows nothing of updates."""

    def _set(self, rest: str) -> str:
        return "ERROR usage set owner|broker" if rest.startswith("updates") else super()._set(rest)


def test_the_key_is_pinned_at_enrolment(tmp_path: Path) -> None:
    """Broken: a fleet is shipped that takes no updates, or those of a stranger."""
    desk, board, key = Desk(tmp_path), Pinning(), PrivateKey.generate().public
    wish = Settings(update_key=key)
    assert f"update key {key.kid.hex()} pinned" in desk.enrol(board, settings=wish).done
    assert key.raw.hex() == board.pinned
    other = Settings(update_key=PrivateKey.generate().public)
    with pytest.raises(UndoneError, match=r"another update key") as caught:
        desk.enrol(board, settings=other)
    assert ("enrol.update-key", True) == (caught.value.code, "unset owner" in caught.value.hint)
    with pytest.raises(UndoneError) as caught:
        desk.enrol(Older(), settings=wish)
    assert "its agent is older" in caught.value.hint
