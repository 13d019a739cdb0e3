"""Our records in the eyes of another COSE implementation, the `cwt` package."""

from __future__ import annotations

import json
import subprocess

import pytest

from tools.parts import cwt_python
from tools.vectors import sized

SCRIPT = """
import json, sys
from cwt import COSE, COSEKey
asked = json.load(sys.stdin)
key = COSEKey.new({1: 1, 3: -19, -1: 6, -2: bytes.fromhex(asked["key"]), 2: bytes.fromhex(asked["kid"])})
try:
    print(COSE.new().decode(bytes.fromhex(asked["record"]), key).hex())
except Exception as error:
    print("refused:", type(error).__name__)
"""


def decoded(raw: bytes, public: bytes, kid: bytes) -> str:
    """The payload (hex) that the other implementation found, or `refused: ...`."""
    asked = {"record": raw.hex(), "key": public.hex(), "kid": kid.hex()}
    done = subprocess.run(
        [str(cwt_python()), "-I", "-c", SCRIPT],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(("count", "limit"), [(1, 150), (10, 180), (60, 320)])
def test_another_implementation_verifies_our_records(count: int, limit: int) -> None:
    """What we call COSE would be ours alone, or larger than a modem carries."""
    from tests.world import key

    made = sized(count)
    public = key("device").public
    assert len(made.raw) <= limit
    assert made.signed.payload.hex() == decoded(made.raw, public.raw, public.kid)
    changed = made.raw.replace(made.signed.payload[-1:] + b"\x58\x40", b"\x00\x58\x40")
    assert changed != made.raw
    assert "refused: VerifyError" == decoded(changed, public.raw, public.kid)
