"""Updates in a gateway's hands: kept whole, handed out in parts, and bounded whatever comes."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest

from tallystick import limits, topics, update
from tallystick.errors import FormatError, LimitError, PathError
from tallystick.keys import PrivateKey
from tallystick.update import Kind, Update, Want
from tallystick_gateway import bounds
from tallystick_gateway.updates.folder import UpdateFolder
from tests.gateway.boards import Board
from tests.gateway.running import Field, Gateway, eventually

KEY = PrivateKey.generate()


def made(number: int) -> Update:
    """An update whose files are those of no other one."""
    files = {
        "boot.py": b"",
        "main.py": b"",
        "tally/life.mpy": b"M" * 3000 + str(number).encode(),
    }
    index = update.index_of(files)
    manifest = update.sign_manifest(
        KEY,
        counter=number,
        minimum=0,
        version=f"1.{number}",
        kind=Kind.AGENT,
        board=None,
        machine=518,
        index=index,
    )
    return update.parse(update.serialize(manifest, index, [files["tally/life.mpy"]]))


def bring(folder: UpdateFolder, one: Update) -> None:
    assert len(one.raw) == folder.take(one.id, len(one.raw), 0, one.raw)


def life(one: Update) -> Want:
    return Want(next(entry.sha256 for entry in one.entries if "life" in entry.path), 10, 5)


def test_in_pieces_out_in_parts(tmp_path: Path) -> None:
    """An engineer whose laptop lost the network would begin anew, and a board would wait for parts of nothing."""
    folder, one = UpdateFolder(tmp_path / "updates"), made(1)
    folder.load()
    size = len(one.raw)
    assert 0 == folder.take(one.id, size, 0, b"")
    assert 1000 == folder.take(one.id, size, 0, one.raw[:1000])
    assert 1000 == folder.take(one.id, size, 0, one.raw[:1000])  # said twice
    assert 1000 == folder.take(one.id, size, 2000, one.raw[2000:])  # out of order
    assert folder.answer(life(one)) is None
    assert folder.get(one.id) is None
    assert size == folder.take(one.id, size, 1000, one.raw[1000:])
    assert size == folder.take(one.id, size, 0, b"")
    assert one.answer(life(one)) == folder.answer(life(one))
    # a gateway that starts anew has it still, and leaves out what is damaged
    (tmp_path / "updates" / "damaged.tallyup").write_bytes(b"\x85")
    again = UpdateFolder(tmp_path / "updates")
    again.load()
    assert one == again.get(one.id)
    assert one.answer(life(one)) == again.answer(life(one))


def test_what_is_no_update(tmp_path: Path) -> None:
    """Whoever can write to the topic would fill the gateway's disk or memory with anything."""
    folder, one = UpdateFolder(tmp_path / "updates"), made(1)
    with pytest.raises(PathError, match=r"^update\.hash"):
        folder.take(bytes(32), len(one.raw), 0, one.raw)
    changed = one.raw[:-1] + b"x"
    with pytest.raises(PathError, match=r"^update\.hash"):
        folder.take(sha256(changed).digest(), len(changed), 0, changed)
    with pytest.raises(FormatError, match=r"^update\.magic"):
        folder.take(sha256(b"\x01").digest(), 1, 0, b"\x01")
    with pytest.raises(FormatError, match=r"^update\.shape"):
        folder.take(one.id, 5, 0, one.raw)
    for size in (0, limits.UPDATE_BYTES + 1):
        with pytest.raises(LimitError, match=r"^update\.too-long"):
            folder.take(one.id, size, 0, b"x")
    assert not (tmp_path / "updates").exists()
    # nothing of it stays in the way of the good one
    bring(folder, one)
    assert one == folder.get(one.id)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    """A gateway would run full after a year of updates, or of somebody who only begins them."""
    folder = UpdateFolder(tmp_path / "updates")
    updates = [made(number) for number in range(1, bounds.UPDATES + 3)]
    for one in updates:
        bring(folder, one)
    assert [None, None] == [folder.get(one.id) for one in updates[:2]]
    assert updates[2:] == [folder.get(one.id) for one in updates[2:]]
    assert bounds.UPDATES == len(list((tmp_path / "updates").iterdir()))
    # one that is published again is a new one: boards that are slow have not fetched it yet
    for path in (tmp_path / "updates").iterdir():
        os.utime(path, (0, 0))
    oldest = updates[2]
    assert len(oldest.raw) == folder.take(oldest.id, len(oldest.raw), 0, b"")
    bring(folder, made(90))
    assert [oldest, None] == [folder.get(one.id) for one in updates[2:4]]
    again = UpdateFolder(tmp_path / "updates")
    again.load()
    for number in range(91, 91 + bounds.UPDATES - 2):
        bring(again, made(number))
    assert oldest == again.get(oldest.id)
    for number in range(5):
        assert 10 == folder.take(bytes([number]) * 32, 5000, 0, bytes(10))
    assert 0 == folder.take(bytes(32), 5000, 5, b"")  # it had to go
    assert 10 == folder.take(bytes([4]) * 32, 5000, 5, b"")


def test_over_a_broker(gateway: Gateway, field: Field) -> None:
    """Boards that are enrolled get what they ask for; strangers, and those who send nonsense, get nothing."""
    board, stranger, one = Board(), Board(), made(1)
    gateway.enrol(board)
    gateway.start()
    where, device = topics.Gateway(gateway.id), topics.Device(board.id)
    size = len(one.raw).to_bytes(4, "big")

    def answers() -> list[dict[str, object]]:
        return [json.loads(raw) for topic, raw in field.seen if topic == where.update_answer]

    def ask(topic: str, payload: bytes) -> dict[str, object]:
        before = len(answers())
        field.send_raw(topic, payload)
        eventually(lambda: len(answers()) > before or None, "an answer")
        return answers()[before]

    eventually(lambda: _subscribed(field, where, answers), "the carrier")
    for nonsense in (b"", b"x" * 39, b"\xff" * 40):
        assert str(ask(where.update, nonsense)["code"]).startswith("update.")
    for nonsense in (
        b"",
        b"{}",
        b"[" * 5000,
        b'{"update": 5, "devices": "all"}',
        b'{"update": null}',
    ):
        assert "update.shape" == ask(where.offer, nonsense)["code"]
    wanted = {"update": one.id.hex(), "devices": "all"}
    assert "update.unknown" == ask(where.offer, json.dumps(wanted).encode())["code"]
    assert {"update": one.id.hex(), "have": 0, "size": len(one.raw), "kept": False} == ask(
        where.update, one.id + size + bytes(4)
    )
    assert ask(where.update, one.id + size + bytes(4) + one.raw)["kept"] is True
    wanted["devices"] = [board.id.hex(), stranger.id.hex()]  # type: ignore[assignment]
    said = ask(where.offer, json.dumps(wanted).encode())
    assert ([board.id.hex()], [stranger.id.hex()]) == (said["offered"], said["unknown"])
    eventually(lambda: field.newest.get(device.update) or None, "the manifest")
    assert one.manifest.signed.raw == field.newest[device.update]
    want = life(one)
    text = f"{want.sha256.hex()} {want.offset} {want.length}".encode()
    for nonsense in (b"", b"\xff" * 70, text + b" ", text.replace(b" 5", b" 9999")):
        field.send_raw(device.want, nonsense)
    field.send_raw(topics.Device(stranger.id).want, text)
    field.send_raw(device.want, text)
    eventually(lambda: field.newest.get(device.part) or None, "the part")
    assert [(device.part, one.answer(want))] == [
        (topic, raw) for topic, raw in field.seen if topic.endswith("/part")
    ]
    # after a restart it is still there, and can be taken back
    gateway.kill()
    gateway.start()
    eventually(lambda: _subscribed(field, where, answers), "the carrier")
    assert ask(where.update, one.id + size + bytes(4))["kept"] is True
    said = ask(where.offer, json.dumps({"update": None, "devices": "all"}).encode())
    assert [board.id.hex()] == said["offered"]
    eventually(lambda: field.newest[device.update] == b"" or None, "the withdrawal")


def _subscribed(field: Field, where: topics.Gateway, answers: object) -> bool | None:
    """The carrier's connection is its own, and may come a moment after the gateway's."""
    assert callable(answers)
    before = len(answers())
    field.send_raw(where.update, b"")
    try:
        eventually(lambda: len(answers()) > before or None, "an answer", 1.0)
    except AssertionError:
        return None
    return True
