"""Keys: what may verify, and what never may (docs/format.md, section 2)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tallystick.errors import FormatError, KeyRefusedError, SignatureError, TallystickError
from tallystick.keys import ED25519, ESP256, PrivateKey, PublicKey, kid
from tests.world import P256_ORDER, SimKey, key, seed
from tools.refused import LOW_ORDER, NOT_CANONICAL

PUBLISHED = Path(__file__).resolve().parent.parent / "vectors" / "published"


def wycheproof() -> list[object]:
    groups = json.loads((PUBLISHED / "wycheproof" / "ed25519_test.json").read_text())["testGroups"]
    return [
        pytest.param(group["publicKey"]["pk"], test, id=f"tc{test['tcId']}")
        for group in groups
        for test in group["tests"]
    ]


@pytest.mark.parametrize(("public", "case"), wycheproof())
def test_wycheproof(public: str, case: dict[str, str]) -> None:
    """A signature that others refuse would count, or one that others take would not."""
    verifier = PublicKey.from_bytes(bytes.fromhex(public), ED25519)
    signature, message = bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"])
    if case["result"] == "valid":
        verifier.verify(signature, message)
    else:
        with pytest.raises(SignatureError):
            verifier.verify(signature, message)


def test_rfc_8032() -> None:
    """Our seeds would make other keys than a board's."""
    cases = json.loads((PUBLISHED / "rfc8032" / "ed25519.json").read_text())
    assert 5 == len(cases)
    for case in cases:
        signer = PrivateKey.from_seed(bytes.fromhex(case["seed"]))
        assert case["public"] == signer.public.raw.hex()
        assert case["signature"] == signer.sign(bytes.fromhex(case["message"])).hex()


@pytest.mark.parametrize("raw", [*LOW_ORDER, *NOT_CANONICAL])
def test_low_order_and_not_canonical(raw: str) -> None:
    """A key under which every message verifies could be enrolled."""
    with pytest.raises(KeyRefusedError, match=r"^key\.(low-order|not-canonical)"):
        PublicKey.from_bytes(bytes.fromhex(raw), ED25519)


def test_all_14_encodings_are_tried() -> None:
    """One of them would be forgotten."""
    assert 14 == len({*LOW_ORDER, *NOT_CANONICAL})


@pytest.mark.parametrize("alg", [0, -7, -8, -35, 1, None])
def test_other_algorithms(alg: int) -> None:
    """A key could be read under another algorithm."""
    with pytest.raises(KeyRefusedError, match=r"^key\.algorithm"):
        PublicKey.from_bytes(bytes(32), alg)


@pytest.mark.parametrize("signer", [key("a"), SimKey("a")])
def test_sign_and_verify(signer: SimKey) -> None:
    """Nothing that we sign would verify."""
    signature = signer.sign(b"message")
    signer.public.verify(signature, b"message")
    assert kid(signer.public.raw) == signer.public.kid
    for bad, text in (
        (signature, b"massage"),
        (signature[:-1], b"message"),
        (signature + b"\0", b"message"),
        (bytes(64), b"message"),
        (signature[:32] + bytes(32), b"message"),
        (bytes(32) + signature[32:], b"message"),
    ):
        with pytest.raises(SignatureError):
            signer.public.verify(bad, text)


def test_high_s() -> None:
    """Anyone could make a second signature from a first."""
    sim = SimKey("a")
    signature = sim.sign(b"m")
    s = P256_ORDER - int.from_bytes(signature[32:], "big")
    with pytest.raises(SignatureError, match=r"^signature\.high-s"):
        sim.public.verify(signature[:32] + s.to_bytes(32, "big"), b"m")


@pytest.mark.parametrize("alg", [ED25519, ESP256])
def test_pem(alg: int) -> None:
    """A gateway would have another key after a restart."""
    made = PrivateKey.generate(alg)
    again = PrivateKey.from_pem(made.to_pem())
    assert made.public == again.public
    again.public.verify(made.sign(b"x"), b"x")


def test_no_key_is_shown() -> None:
    """A private key would stand in a log."""
    signer = key("secret")
    pem = signer.to_pem()
    assert seed("secret").hex() not in repr(signer) + str(signer)
    for broken in (b"", b"\xff", pem[:-40], pem.replace(b"M", b"!", 3)):
        with pytest.raises(TallystickError) as caught:
            PrivateKey.from_pem(broken)
        assert caught.value.__cause__ is None
        assert pem.split(b"\n")[1].decode() not in str(caught.value)
    with pytest.raises(FormatError, match=r"^key\.pem"):
        PrivateKey.from_pem(b"not a key")


def test_seeds_and_generators_refuse() -> None:
    """A short seed would be filled up in silence."""
    with pytest.raises(KeyRefusedError, match=r"^key\.length"):
        PrivateKey.from_seed(bytes(31))
    with pytest.raises(KeyRefusedError, match=r"^key\.algorithm"):
        PrivateKey.generate(-7)
