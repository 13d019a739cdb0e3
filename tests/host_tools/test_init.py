"""`tally init`: keys and a policy, once."""

from __future__ import annotations

import json
import stat

import pytest

from tallystick.keys import PrivateKey
from tallystick_host import files
from tallystick_host.errors import UseError
from tallystick_host.home import Home
from tests.host_tools.conftest import Tally


def test_init_makes_two_private_keys_and_a_policy_that_trusts_the_issuer(tally: Tally) -> None:
    """Broken: the first command of the quick start leaves a folder that the next commands refuse, or keys for all to
    read.
    """
    ran = tally("init", "--name", "Acme", "--json")
    assert 0 == ran.status
    facts = json.loads(ran.out)
    assert ["owner.key", "issuer.key", "policy.toml"] == facts["made"]
    for name in ("owner.key", "issuer.key"):
        assert 0o600 == stat.S_IMODE((tally.home / name).stat().st_mode)
    assert 0o700 == stat.S_IMODE(tally.home.stat().st_mode)
    shown = json.loads(tally("policy", "show", "--json").out)
    assert [{"name": "Acme", "did": facts["issuer"]}] == shown["issuers"]
    assert facts["owner"] != facts["issuer"]


def test_a_second_init_changes_nothing_and_says_so(tally: Tally) -> None:
    """Broken: a fleet loses its owner because somebody typed a command twice."""
    first = tally("init")
    before = {path.name: path.read_bytes() for path in tally.home.iterdir()}
    second = tally("init", "--name", "Other")
    assert (0, first.out) == (second.status, second.out)
    assert f"nothing to do: keys and policy are in {tally.home} already\n" == second.err
    assert before == {path.name: path.read_bytes() for path in tally.home.iterdir()}


def test_init_completes_what_an_interrupted_init_left(tally: Tally) -> None:
    """Broken: after a crash in the middle the user has to clean up by hand, next to a key that must not be lost."""
    tally("init")
    owner = (tally.home / "owner.key").read_bytes()
    (tally.home / "issuer.key").unlink()
    ran = tally("init")
    assert 0 == ran.status
    assert owner == (tally.home / "owner.key").read_bytes()
    assert "warning: the policy was there before the issuer's key and does not trust it" in ran.err
    assert "hint: tally policy trust issuer did:key:z6Mk" in ran.err


def test_no_key_is_ever_printed(tally: Tally) -> None:
    """Broken: a log of the terminal, or a bug report, gives the fleet away."""
    runs = [tally("init"), tally("init", "--json"), tally("policy", "show")]
    secrets: list[str] = []
    for name in ("owner.key", "issuer.key"):
        pem = (tally.home / name).read_bytes()
        secrets += pem.decode().splitlines()[1:-1]
        seed = PrivateKey.from_pem(pem)._key.private_bytes_raw()  # type: ignore[union-attr]
        secrets += [seed.hex()]
    for ran in runs:
        assert "PRIVATE KEY" not in ran.out + ran.err
        assert not [secret for secret in secrets if secret in ran.out + ran.err]


def test_a_key_that_others_can_read_is_named(tally: Tally) -> None:
    """Broken: a key that was copied with a wrong mode stays open unnoticed."""
    tally("init")
    (tally.home / "owner.key").chmod(0o644)
    assert f"warning: others can read {tally.home}/owner.key\n" in tally("init").err


def test_a_damaged_key_is_named_without_its_content(tally: Tally) -> None:
    """Broken: a half-restored key ends in a traceback, or in an error that quotes it."""
    tally("init")
    pem = (tally.home / "owner.key").read_text()
    (tally.home / "owner.key").write_text(pem[:-40])
    ran = tally("init")
    assert 5 == ran.status
    expected = f"error: '{tally.home}/owner.key': not an unencrypted PKCS #8 private key in PEM (key.pem)\n"
    assert ran.err.endswith(expected)
    assert pem.splitlines()[1] not in ran.err


def test_a_key_file_is_never_written_over(tally: Tally) -> None:
    """Broken: two runs at the same moment leave boards pinned to a key that is gone."""
    home = Home(tally.home)
    home.make()
    with pytest.raises(UseError, match="exists already"):
        files.write_new(home.owner_path, b"other", mode=0o600)
    assert home.owner().public.raw
