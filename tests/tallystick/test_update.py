"""Update files: what a board will run must be exactly what was signed, whoever carried it."""

from __future__ import annotations

from hashlib import sha256

import pytest

from tallystick import cbor, limits, update
from tallystick.errors import FormatError, LimitError, PathError, SignatureError, TallystickError
from tallystick.keys import PrivateKey
from tallystick.update import Kind, Manifest, Update, Want

KEY = PrivateKey.from_seed(bytes(range(32)))
FILES = {
    "boot.py": b"# start\n",
    "main.py": b"# start, too\n",
    "sensors/__init__.mpy": b"",
    "tally/life.mpy": b"M" * 2000,
    "tally/twin.mpy": b"M" * 2000,
}
IMAGE = {"image/00000000": b"\xe9" * 65_536, "image/00010000": b"rest"}


def signed(index: bytes, **changes: object) -> bytes:
    facts: dict[str, object] = {
        "counter": 7, "minimum": 0, "version": "1.2.0", "kind": Kind.AGENT,
        "board": None, "machine": 2566,
    }  # fmt: skip
    return update.sign_manifest(KEY, index=index, **{**facts, **changes})  # type: ignore[arg-type]


def made(files: dict[str, bytes], kind: Kind = Kind.AGENT) -> bytes:
    index = update.index_of(files)
    objects = dict.fromkeys(
        data for path, data in sorted(files.items()) if path not in update.START_FILES
    )
    return update.serialize(signed(index, kind=kind), index, objects)


def parts_of(raw: bytes) -> list[cbor.Value]:
    value = cbor.decode(raw)
    assert isinstance(value, list)
    return value


def code_of(raw: bytes) -> str:
    with pytest.raises(TallystickError) as caught:
        update.parse(raw)
    return caught.value.code


def test_what_is_made_can_be_read() -> None:
    """A board would be told another agent than the engineer has packed."""
    one = update.parse(made(FILES))
    one.manifest.signed.verify(KEY.public)
    with pytest.raises(SignatureError):
        one.manifest.signed.verify(PrivateKey.generate().public)
    assert Manifest(
        one.manifest.signed, 7, 0, "1.2.0", Kind.AGENT, None, 2566, len(one.index), sha256(one.index).digest(),
    ) == one.manifest  # fmt: skip
    lines = "".join(
        f"{path} {len(data)} {sha256(data).hexdigest()}\n" for path, data in sorted(FILES.items())
    )
    # the agent digest of section 4, over the same lines
    assert sha256(lines.encode()).digest()[:16] == one.manifest.digest
    assert list(FILES) == [entry.path for entry in one.entries]
    # start files are named and not carried, and what is there twice is carried once
    assert {sha256(b"").digest(), sha256(b"M" * 2000).digest()} == set(one.objects)
    assert Kind.IMAGE is update.parse(made(IMAGE, Kind.IMAGE)).manifest.kind


def test_parts_give_the_whole() -> None:
    """A board would wait for ever for the last bytes of a file."""
    one = update.parse(made(FILES))
    for digest, data in {**one.objects, one.manifest.index: one.index}.items():
        got = b""
        while len(got) < len(data):
            length = min(768, len(data) - len(got))
            want = update.parse_want(b"%s %d %d" % (digest.hex().encode(), len(got), length))
            part = one.answer(want)
            assert part is not None
            assert (digest, len(got)) == (part[:32], int.from_bytes(part[32:36], "big"))
            got += part[36:]
        assert data == got
        assert one.answer(Want(digest, len(data), 1)) is None
        assert one.answer(Want(digest, 0, len(data) + 1)) is None
    assert one.answer(Want(bytes(32), 0, 1)) is None


def test_one_changed_byte() -> None:
    """Whoever carries an update could change what boards run."""
    raw = made(FILES)
    whole = update.parse(raw)
    for at in range(len(raw)):
        try:
            other = update.parse(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        except TallystickError:
            continue
        with pytest.raises(TallystickError):
            other.manifest.signed.verify(KEY.public)
        assert other.manifest.signed != whole.manifest.signed
    for at in range(0, len(raw), 97):
        code_of(raw[:at])


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("config.json", "update.path"),
        ("journal/0000000000.log", "update.path"),
        ("tally/../boot.py", "update.path"),
        ("tally//x.mpy", "update.path"),
        ("/tally/x.mpy", "update.path"),
        ("tally/", "update.path"),
        ("b/tally/x.mpy", "update.path"),
        ("tally/" + "x" * 70, "update.path"),
        ("tally/.hidden", "update.path"),
        ("tally/a b", "update.index"),
        ("tally/\u00e4", "update.index"),
    ],
)
def test_places_that_no_update_has(path: str, code: str) -> None:
    """A signed update could write over a board's settings, records or start."""
    assert code == code_of(made({**FILES, path: b"M"}))


def test_what_is_refused() -> None:
    """Each of these would be found out by a board, one by one, in the field."""
    raw = made(FILES)
    parts = parts_of(raw)
    magic, _, manifest, index, objects = parts
    assert isinstance(index, bytes)
    assert isinstance(objects, list)

    def again(*values: object) -> str:
        return code_of(cbor.encode(list(values)))

    assert "update.magic" == again("tally", 1, manifest, index, objects)
    assert "update.magic" == code_of(b"\x01")
    assert "update.version" == again(magic, 2, manifest, index, objects)
    assert "update.version" == again(magic, 1, manifest, index)
    assert "update.shape" == again(magic, 1, manifest, index, None)
    assert "update.shape" == again(magic, 1, 5, index, objects)
    assert "update.shape" == again(magic, 1, manifest, index, ["text"])
    assert "update.shape" == again(magic, 1, manifest, index, [*objects, b"one too many"])
    assert "update.shape" == again(magic, 1, manifest, index, objects[::-1])
    assert "update.hash" == again(magic, 1, manifest, index, objects[:-1])
    assert "update.hash" == again(magic, 1, manifest, index[:-1], objects)
    without = {path: data for path, data in FILES.items() if path != "main.py"}
    assert "update.index" == code_of(made(without))
    backwards = b"".join(index.splitlines(keepends=True)[::-1])
    for other in (backwards, index + index, index + b"x\n", index.rstrip(b"\n"), b"\n", b"\xff\n"):
        assert "update.index" == again(magic, 1, signed(other), other, objects)
    hole = {"image/00000000": b"\xe9", "image/00010000": b"rest"}
    assert "update.index" == code_of(made(hole, Kind.IMAGE))
    assert "update.path" == code_of(made(FILES, Kind.IMAGE))
    assert "field.range" == code_of(
        made({**FILES, "tally/x.mpy": bytes(limits.UPDATE_OBJECT_BYTES + 1)})
    )
    with pytest.raises(LimitError, match=r"^update\.too-long"):
        update.parse_index(b"x" * (limits.UPDATE_INDEX_BYTES + 1), Kind.AGENT)
    with pytest.raises(LimitError, match=r"^update\.too-long"):
        update.parse(bytes(limits.UPDATE_BYTES + 1))
    with pytest.raises(PathError):
        update.parse(update.serialize(signed(b"other"), index, []))


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"x", b"00" * 32, b"00" * 32 + b" 0 0", b"00" * 32 + b" 00 1", b"00" * 32 + b" -1 5",
        b"00" * 32 + b" 0 1 ", b"00" * 32 + b" 0 961", b"00" * 32 + b" 65537 1", b"AA" * 32 + b" 0 1",
        b"00" * 32 + b" 0 1\n", b"\xff" * 80,
    ],
)  # fmt: skip
def test_questions_that_are_none(raw: bytes) -> None:
    """Whoever can write to the broker could make the gateway read anything, or stumble."""
    with pytest.raises(FormatError):
        update.parse_want(raw)


def test_an_update_is_a_value() -> None:
    """Two that are the same would be kept twice."""
    assert update.parse(made(FILES)) == update.parse(made(FILES))
    assert isinstance(update.parse(made(FILES)), Update)
