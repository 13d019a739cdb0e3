"""The policy: whom the verifier trusts."""

from __future__ import annotations

import pytest

from tallystick import policy
from tallystick.errors import LimitError, PolicyError, TallystickError
from tallystick.policy import REQUIRABLE
from tests.world import World


def text(*more: str) -> bytes:
    trusted = World().policy
    return "\n".join(
        [
            "version = 1",
            f'[[issuers]]\ndid = "{trusted.issuers[0].did}"\nname = "Acme"',
            f'[[gateways]]\nvkey = "{trusted.gateways[0].vkey}"\noperator = "Acme"',
            f'[[ledgers]]\nvkey = "{trusted.ledgers[0].vkey}"\noperator = "Harbour"',
            *more,
        ]
    ).encode()


def test_a_policy() -> None:
    """What the user wrote down would not be what is trusted."""
    world, parsed = World(), policy.parse(text())
    assert REQUIRABLE == parsed.required
    assert parsed.issuer(world.issuer_did) is not None
    assert parsed.issuer("did:key:z6Mk") is None
    assert parsed.gateway(world.log.origin) is not None
    assert parsed.gateway("tallystick/0") is None
    found = parsed.ledger(world.ledger.id)
    assert found is not None
    assert "Harbour" == found.operator
    assert parsed.ledger(bytes(8)) is None
    assert ("log.inclusion",) == policy.parse(
        text('[require]\nchecks = ["log.inclusion"]')
    ).required


def test_an_empty_policy_trusts_nobody() -> None:
    """A file that was cut short would trust somebody."""
    parsed = policy.parse(b"version = 1")
    assert ((), (), ()) == (parsed.issuers, parsed.gateways, parsed.ledgers)


GATEWAY = str(World().policy.gateways[0].vkey)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "policy.version"),
        (b"version = 2", "policy.version"),
        (b"version = true", "policy.version"),
        (b"version = 1.0", "policy.version"),
        (b"\xff", "policy.toml"),
        (b"version", "policy.toml"),
        (b"x = " + b"9" * 5000, "policy.toml"),
        (b"x = " + b"[" * 100_000, "policy.toml"),
        (text("[[issuer]]"), "policy.unknown"),
        (text('[[gateways]]\nkey = "x"'), "policy.unknown"),
        (text("[require]\nonly = []"), "policy.unknown"),
        (text('[require]\nchecks = ["log.inclusions"]'), "policy.require"),
        (text("[require]\nchecks = 1"), "policy.require"),
        (b"version = 1\nissuers = 1", "policy.table"),
        (b"version = 1\nrequire = 1", "policy.table"),
        (b"version = 1\n[[issuers]]\ndid = 1", "policy.type"),
        (b'version = 1\n[[issuers]]\ndid = "did:web:x"', "policy.did"),
        (b'version = 1\n[[gateways]]\nvkey = "x"', "policy.vkey"),
        (f'version = 1\n[[ledgers]]\nvkey = "{GATEWAY}"'.encode(), "policy.vkey"),
        (text(f'[[gateways]]\nvkey = "{World().policy.ledgers[0].vkey}"'), "policy.vkey"),
    ],
)
def test_refused(raw: bytes, code: str) -> None:
    """A misspelt line would silently trust less, or require less, than its author meant."""
    with pytest.raises(PolicyError) as caught:
        policy.parse(raw)
    assert code == caught.value.code


def test_too_long() -> None:
    """A file of any size would be read."""
    with pytest.raises(LimitError, match=r"^policy\.too-long"):
        policy.parse(b"#" * (2**20 + 1))


def test_a_gateways_name_in_the_place_of_a_ledgers() -> None:
    """A policy made by hand could take a gateway for a ledger."""
    trusted = World().policy
    with pytest.raises(TallystickError, match=r"^policy\.ledger"):
        _ = trusted.gateways[0].ledger
