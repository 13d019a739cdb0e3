"""`tally policy`: whom to trust, added line by line."""

from __future__ import annotations

import json
from pathlib import Path

import base58
import pytest

from tallystick import did
from tallystick.checkpoint import gateway_name
from tallystick.cosignature import WitnessKey
from tallystick.note import VerifierKey
from tests.host_tools.conftest import Tally
from tests.world import Ledger, World, key


@pytest.fixture
def policy(tally: Tally) -> Path:
    """A policy with comments and a last line without its end, as editors leave it."""
    return tally.write("p.toml", "# ours\nversion = 1\n[require]\nchecks = ['chain.link'] # less")


def test_trusting_appends_and_keeps_what_is_there(tally: Tally, policy: Path) -> None:
    """Broken: the comments that say why somebody is trusted vanish with the next `trust`."""
    world, before = World(), policy.read_text()
    gateway = str(world.log.vkey)
    ran = tally("policy", "trust", "gateway", gateway, "--operator", 'A "q"', "--policy", policy)
    assert 0 == ran.status
    assert f"gateway {world.log.vkey.name} is trusted now, in {policy}\n" == ran.err
    assert policy.read_text().startswith(before + "\n\n[[gateways]]\n")
    shown = json.loads(tally("policy", "show", "--json", "--policy", policy).out)
    assert [{"name": "", "operator": 'A "q"', "vkey": gateway}] == shown["gateways"]
    assert ["chain.link"] == shown["required"]


def test_every_role_takes_its_line(tally: Tally, policy: Path) -> None:
    """Broken: one of the four kinds of trust cannot be given by command."""
    world = World()
    issuer = did.did_key(world.issuer.public)
    lines = {
        "gateway": str(world.log.vkey),
        "ledger": str(world.ledger.vkey),
        "witness": str(WitnessKey("w.example/one", key("witness").public)),
        "issuer": issuer,
    }
    for role, line in lines.items():
        ran = tally("policy", "trust", role, line, "--name", f"my {role}", "--policy", policy)
        assert (0, "") == (ran.status, ran.out), ran.err
    shown = json.loads(tally("policy", "show", "--json", "--policy", policy).out)
    assert issuer == shown["issuers"][0]["did"]
    for table in ("gateways", "ledgers", "witnesses"):
        assert 1 == len(shown[table])
    text = tally("policy", "show", "--policy", policy).out.splitlines()
    assert ["role", "name", "operator", "key"] == text[0].split()
    assert 6 == len(text)


def test_a_line_that_is_trusted_already_is_no_error(tally: Tally, policy: Path) -> None:
    """Broken: a set-up script cannot be run twice."""
    line = str(World().log.vkey)
    tally("policy", "trust", "gateway", line, "--policy", policy)
    before = policy.read_bytes()
    ran = tally("policy", "trust", "gateway", f" {line}\n", "--name", "x", "--policy", policy)
    assert 0 == ran.status
    assert ran.err.endswith("is trusted already; nothing changed\n")
    assert before == policy.read_bytes()


def test_what_is_refused_leaves_the_policy_as_it_was(tally: Tally, policy: Path) -> None:
    """Broken: a mistyped line leaves a policy that no verification can read any more."""
    world, before = World(), policy.read_bytes()
    cut = str(world.log.vkey)[:-5] + "AAAA="
    low_order = "did:key:z" + base58.b58encode(b"\xed\x01" + bytes(32)).decode()
    wrong = [
        ("gateway", cut),
        ("gateway", str(world.ledger.vkey)),
        ("ledger", str(world.log.vkey)),
        ("issuer", str(world.log.vkey)),
        ("issuer", low_order),
        ("issuer", "did:web:acme.example"),
    ]
    for role, line in wrong:
        ran = tally("policy", "trust", role, line, "--policy", policy)
        assert 2 == ran.status, (role, line)
        assert ran.err.startswith("error: ")
        assert "Traceback" not in ran.err
        assert before == policy.read_bytes()


def test_a_ledger_with_another_key_under_its_name_is_refused(tally: Tally, policy: Path) -> None:
    """Broken: of two keys under one name the verifier takes the first, and the user believes the second."""
    ledger = Ledger(key("ledger"))
    other = VerifierKey(ledger.vkey.name, key("impostor").public)
    tally("policy", "trust", "ledger", str(ledger.vkey), "--policy", policy)
    ran = tally("policy", "trust", "ledger", str(other), "--policy", policy)
    assert 2 == ran.status
    assert (
        f"error: {ledger.vkey.name} is trusted already, with another key (policy.name-taken)"
        in ran.err
    )


def test_text_that_cannot_take_an_appended_table_is_left_alone(tally: Tally) -> None:
    """Broken: appending to a policy written with inline arrays destroys it."""
    text = f"version = 1\ngateways = [{{ vkey = '{World().log.vkey}' }}]\n"
    policy = tally.write("inline.toml", text)
    other = key("other").public
    ran = tally(
        "policy",
        "trust",
        "gateway",
        str(VerifierKey(gateway_name(other), other)),
        "--policy",
        policy,
    )
    assert 2 == ran.status
    assert "(policy.toml)" in ran.err
    assert text == policy.read_text()


def test_a_missing_or_broken_policy_is_wrong_use(tally: Tally) -> None:
    """Broken: without a policy a script cannot tell a forgotten file from forged evidence."""
    ran = tally("verify", "x.tally")
    assert 2 == ran.status
    assert (
        f"error: no policy '{tally.home}/policy.toml'\n"
        "hint: tally init makes one, --policy FILE names another\n"
    ) == ran.err
    broken = tally.write("b.toml", "version = 1\n[[gateway]]\n")
    ran = tally("verify", "x.tally", "--policy", broken)
    assert 2 == ran.status
    assert f"error: {broken}: line 2: 'gateway' is not known here (policy.unknown)\n" in ran.err


def test_a_linked_policy_stays_a_link(tally: Tally, policy: Path) -> None:
    """Broken: a policy that is kept elsewhere (in a repository) is silently replaced by a copy."""
    link = tally.cwd / "link.toml"
    link.symlink_to(policy)
    ran = tally("policy", "trust", "gateway", str(World().log.vkey), "--policy", link)
    assert 0 == ran.status
    assert link.is_symlink()
    assert "[[gateways]]" in policy.read_text()


def test_check_explains_each_line(tally: Tally) -> None:
    """Broken: of five mistakes the user learns one at a time, and not where."""
    world = World()
    lines = [
        "version = 1",
        "[[issuer]]",
        'did = "did:key:z6Mk"',
        "[[gateways]]",
        f'vkey = "{world.ledger.vkey}"',
        "operator = 7",
        "[require]",
        'checks = ["log.inclusions"]',
        "witnesses = 2",
        'agents = ["xyz"]',
        'anchor_age = "soon"',
    ]
    policy = tally.write("bad.toml", "\n".join(lines))
    ran = tally("policy", "check", "--policy", policy)
    assert 2 == ran.status
    found = [line.partition(f"{policy}:")[2].partition(":")[0] for line in ran.out.splitlines()]
    assert ["2", "5", "6", "8", "9", "10", "11"] == [line for line in found if line]
    assert "  | [[issuer]]\n" in ran.out
    assert "  hint: one of bridges gateways issuers " in ran.out
    assert "error: 7 mistakes in " in ran.err
    facts = json.loads(tally("policy", "check", "--json", "--policy", policy).out)
    assert (False, 7) == (facts["usable"], len(facts["problems"]))
    broken = tally.write("toml.toml", "version = 1\n[[issuers]\n")
    assert f"{broken}:2: not TOML: " in tally("policy", "check", "--policy", broken).out


def test_check_says_what_is_worth_a_second_look(tally: Tally) -> None:
    """Broken: a policy under which one party vouches for itself looks as good as any."""
    world = World()
    text = world.policy_text().replace('name = "field"', 'operator = "Harbour"')
    policy = tally.write("p.toml", text)
    ran = tally("policy", "check", "--policy", policy)
    assert (0, "") == (ran.status, ran.err)
    assert "look twice: Harbour runs the gateway tallystick/" in ran.out
    assert ran.out.endswith("p.toml can be used\n")
    lax = tally.write("lax.toml", "version = 1\n[require]\nchecks = []\n")
    out = tally("policy", "check", "--policy", lax).out
    assert "look twice: no issuer is trusted: no proof can be VERIFIED\n" in out
    assert "look twice: not required, so that a proof without them passes: record.signature " in out


def test_one_witness_under_two_names_is_refused(tally: Tally) -> None:
    """Broken: a quorum of two is met by one."""
    tables = "".join(
        f'[[witnesses]]\nvkey = "{WitnessKey(name, key("witness").public)}"\n'
        for name in ("w.example/a", "w.example/b")
    )
    policy = tally.write("p.toml", World().policy_text() + tables)
    ran = tally("policy", "check", "--policy", policy)
    assert 2 == ran.status
    assert "(policy.duplicate)" in ran.out
