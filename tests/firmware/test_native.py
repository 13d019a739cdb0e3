"""The native signer on every processor that it is built for.

If these fail, a board with the native module signs what nobody can verify, or believes what the
gateway refuses; or it falls back and signs twenty times slower, and nobody has said so.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware import build as firmware_build
from tests import parts
from tests.firmware.rv32 import Rv32
from tools import native
from tools.native import ARCHITECTURES, BUILD, MODULE
from tools.xtensa_board import Board, RaisedError

PUBLISHED = parts.ROOT / "tests" / "vectors" / "published"

ON_BOARD = """
import _ed25519
def s(seed, message):
    key = bytearray(128)
    key[:32] = bytes.fromhex(seed)
    _ed25519.expand(key)
    return (bytes(key[96:]) + _ed25519.sign(key, bytes.fromhex(message))).hex()
def v(*words):
    key, message, signature = map(bytes.fromhex, words)
    return _ed25519.verify(key, message, signature)
def refusal(function, *arguments):
    try:
        function(*arguments)
    except ValueError as error:
        return str(error)
"""


def module(architecture: str) -> Path:
    """The built module; `make native` makes it, and so does this where it is missing."""
    native.prepare()
    return native.build(ARCHITECTURES[architecture])


def rfc8032() -> list[dict[str, str]]:
    """The vectors of RFC 8032, section 7.1."""
    vectors: list[dict[str, str]] = json.loads((PUBLISHED / "rfc8032" / "ed25519.json").read_text())
    return vectors


def wycheproof() -> list[tuple[str, dict[str, Any]]]:
    """(public key, case) of every Wycheproof case whose signature has the right length."""
    groups = json.loads((PUBLISHED / "wycheproof" / "ed25519_test.json").read_text())["testGroups"]
    found = [(group["publicKey"]["pk"], case) for group in groups for case in group["tests"]]
    return [(key, case) for key, case in found if len(case["sig"]) == 128]


Run = Callable[[list[str]], list[str]]
"""Expressions in, what each of them is out."""


def unix(command: list[str], architecture: str) -> Run:
    """The unix port of MicroPython, in the heap of an ESP32."""

    def run(expressions: list[str]) -> list[str]:
        code = "".join(f"print({expression})\n" for expression in expressions)
        path = f"import sys\nsys.path.append({str(module(architecture).parent)!r})\n"
        done = subprocess.run(
            [*command, "-X", "heapsize=400k", "-c", path + ON_BOARD + code],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (0, "") == (done.returncode, done.stderr)
        return done.stdout.splitlines()

    return run


@pytest.fixture(params=["x64", "armv7m", "rv32imc"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """MicroPython with the native module, on one processor after the other."""
    if request.param == "x64":
        yield unix(parts.micropython64(), "x64")
    elif request.param == "armv7m":
        yield unix(parts.micropython32(), "armv7m")
    else:
        with Rv32() as board:
            board.lend(f"{MODULE}.mpy", module("rv32imc").read_bytes())
            board.execute(ON_BOARD)
            yield lambda asked: [
                board.execute(f"gc.collect(); print({expression})").strip() for expression in asked
            ]


def test_rfc_8032(run: Run) -> None:
    """Keys and signatures of a board would be nobody else's Ed25519."""
    vectors = rfc8032()
    asked = [f"s('{v['seed']}', '{v['message']}')" for v in vectors]
    asked += [f"v('{v['public']}', '{v['message']}', '{v['signature']}')" for v in vectors]
    asked += [f"v('{v['public']}', '{v['message']}00', '{v['signature']}')" for v in vectors]
    expected = [v["public"] + v["signature"] for v in vectors]
    assert run(asked) == expected + ["True"] * len(vectors) + ["False"] * len(vectors)


def test_wycheproof(run: Run) -> None:
    """A forged acknowledgement would pass, or a good one would not."""
    cases = wycheproof()
    assert len(cases) >= 120
    answers = run([f"v('{key}', '{case['msg']}', '{case['sig']}')" for key, case in cases])
    wrong = [
        case["tcId"]
        for (_, case), answer in zip(cases, answers, strict=True)
        if answer != str(case["result"] == "valid")
    ]
    assert wrong == []


@pytest.fixture(scope="module")
def esp32() -> Board:
    """A simulated ESP32 that has imported the module."""
    return Board(module("xtensawin"))


def expanded(board: Board, seed: str) -> bytearray:
    """The expanded key of a seed."""
    key = bytearray(bytes.fromhex(seed) + bytes(96))
    assert board.call("expand", key) is None
    return key


def test_the_esp32_agrees_with_rfc_8032(esp32: Board) -> None:
    """What an ESP32 would sign and believe, instruction by instruction."""
    for v in rfc8032()[:3]:
        key = expanded(esp32, v["seed"])
        message, signature = bytes.fromhex(v["message"]), bytes.fromhex(v["signature"])
        assert key[96:].hex() == v["public"]
        assert esp32.call("sign", key, message) == signature
        assert esp32.call("verify", bytes(key[96:]), message, signature) is True
        assert esp32.call("verify", bytes(key[96:]), message + b"\0", signature) is False


def test_the_esp32_is_as_strict(esp32: Board) -> None:
    """Of each kind of bad signature or key one: the rules are in C, the arithmetic is not."""
    kinds: dict[tuple[str, ...], tuple[str, dict[str, Any]]] = {}
    for key, case in wycheproof():
        kinds.setdefault((case["result"], *case["flags"]), (key, case))
    assert len(kinds) >= 5
    for key, case in kinds.values():
        words = [bytes.fromhex(word) for word in (key, case["msg"], case["sig"])]
        assert esp32.call("verify", *words) is (case["result"] == "valid"), case["tcId"]
    low_order = bytes(32)
    assert esp32.call("verify", low_order, b"", bytes(64)) is False


def test_the_esp32_hardly_shows_a_key_in_its_steps(esp32: Board) -> None:
    """A count that depended on the key would be a clock for whoever listens.

    The source has no branch that a secret decides. LLVM makes one of the carry of a 64-bit addition
    on this processor, which has no flag for it: one instruction more or less, some hundred times.
    """
    counts = []
    for seed in ("00" * 32, "ff" * 32, *(v["seed"] for v in rfc8032())):
        key = expanded(esp32, seed)
        before = esp32.instructions
        esp32.call("sign", key, bytes(100))
        counts.append(esp32.instructions - before)
    assert max(counts) - min(counts) < min(counts) / 5000
    assert max(counts) <= 1_800_000


def test_wrong_lengths_are_refused(esp32: Board, run: Run) -> None:
    """A short buffer would be read beyond its end."""
    for arguments in ((b"", b"", bytes(64)), (bytes(32), b"", bytes(63))):
        with pytest.raises(RaisedError, match="wrong length"):
            esp32.call("verify", *arguments)
    with pytest.raises(RaisedError, match="wrong length"):
        esp32.call("expand", bytearray(127))
    asked = [
        "refusal(_ed25519.verify, b'', b'', bytes(64))",
        "refusal(_ed25519.expand, bytearray(9))",
    ]
    assert run(asked) == ["wrong length", "wrong length"]


def test_a_file_is_for_its_processor() -> None:
    """MicroPython would refuse it at best, and run it at worst."""
    for name, architecture in ARCHITECTURES.items():
        head = module(name).read_bytes()[:4]
        assert head == bytes([ord("M"), 6, architecture.number << 2 | 3, 31])


def test_nothing_is_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make test` would compile for a minute each time."""
    module("x64")
    monkeypatch.setattr(native, "run", lambda argv, folder: pytest.fail(f"ran {argv[0]}"))
    assert module("x64") == BUILD / "x64" / f"{MODULE}.mpy"


def chosen(folder: Path) -> str:
    """The backend that a board with these files takes, and whether it signs as the RFC says."""
    code = (
        f"import sys\nsys.path[:0] = [{str(folder)!r}, {str(folder / 'lib')!r}]\n"
        "from tally import signer\n"
        "print(signer.NAME, signer.sign(bytes(32), b'x').hex())"
    )
    done = subprocess.run(
        [*parts.micropython64(), "-X", "heapsize=400k", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.strip()


def test_a_board_takes_it_where_it_answers_right(tmp_path: Path) -> None:
    """And falls back without a word where the file is missing, another processor's, or none."""
    module("x64")
    folder = firmware_build.build("x64", native=True, whole=False)
    name, signature = chosen(folder).split()
    assert name == "ed25519_native"
    for number, content in enumerate((None, module("rv32imc").read_bytes(), b"M", b"")):
        copy = tmp_path / str(number)
        shutil.copytree(folder, copy)
        (copy / "lib" / "_ed25519.mpy").unlink()
        if content is not None:
            (copy / "lib" / "_ed25519.mpy").write_bytes(content)
        assert chosen(copy) == f"ed25519 {signature}", number
