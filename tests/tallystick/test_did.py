"""did:key: a key as a name, and back."""

from __future__ import annotations

import pytest

from tallystick import did
from tallystick.errors import FormatError, TallystickError
from tallystick.keys import PublicKey

# the first Ed25519 and the first P-256 example of the did:key method
EXAMPLES = [
    (-19, "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"),
    (-9, "did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169"),
]
RFC8032 = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


@pytest.mark.parametrize(("alg", "name"), EXAMPLES)
def test_examples_of_the_method(alg: int, name: str) -> None:
    """Our names would be ours alone."""
    public = did.public_key(name)
    assert alg == public.alg
    assert name == did.did_key(public)
    assert did.is_did_key(name)


def test_an_independent_value() -> None:
    """A wrong alphabet would go unseen, since both directions would share it."""
    public = PublicKey.from_bytes(bytes.fromhex(RFC8032), -19)
    assert "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw" == did.did_key(public)


@pytest.mark.parametrize("alg_name", EXAMPLES)
def test_one_name_a_key(alg_name: tuple[int, str]) -> None:
    """One device would have two names."""
    _, name = alg_name
    for other in (
        name.replace("did:key:z", "did:key:z1"),
        name + "1",
        name[:-1],
        name + " ",
        name.upper(),
        name.replace("z", "m", 1),
        name + "#" + name[8:],
        name.replace("6", "\N{FULLWIDTH DIGIT SIX}"),
        "did:key:z" + "1" * 300,
        "",
    ):
        with pytest.raises(TallystickError):
            did.public_key(other)
        assert not did.is_did_key(other)
    with pytest.raises(FormatError, match=r"^did\.method"):
        did.public_key("did:web:example.com")
