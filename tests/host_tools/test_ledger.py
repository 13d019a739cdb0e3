"""`tally ledger` with a real ledger: what it shows as confirmed was proven, and a ledger that lies is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cbor2
import pytest

from tallystick import block, merkle, milestone
from tallystick.receipt import State
from tallystick_host import source
from tallystick_host.cli import main
from tests.host_tools.conftest import Ran
from tests.ledger.site import Ledger, Submitter, anchor
from tests.parts import Broker


class Tally:
    """The command in this process: what it prints, and its exit status."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def __call__(self, *argv: str | Path) -> Ran:
        self._captured.readouterr()
        status = main([str(one) for one in argv])
        said = self._captured.readouterr()
        return Ran(status, said.out, said.err)


@pytest.fixture
def tally(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Tally:
    """With an empty home."""
    monkeypatch.setenv("TALLY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "120")
    return Tally(capsys)


class Site:
    """A ledger that runs, and a policy that trusts it."""

    def __init__(self, ledger: Ledger, one: Submitter, policy: Path) -> None:
        self.ledger = ledger
        self.one = one
        self.policy = policy
        self.name = self.post(1)

    def post(self, size: int) -> str:
        """One more anchor, confirmed; its id."""
        name = self.one.submit(anchor(self.one.parents(), size))
        self.one.answer(name, State.CONFIRMED)
        return name.hex()

    @property
    def at(self) -> tuple[str, ...]:
        """Where, and by what policy."""
        return ("--ledger", self.ledger.url(), "--policy", str(self.policy))


@pytest.fixture
def site(tmp_path: Path, broker: Broker, tally: Tally) -> Iterator[Site]:
    """One anchor, confirmed."""
    policy = tmp_path / "policy.toml"
    policy.write_text("version = 1\n")
    ledger = Ledger(tmp_path / "site", broker.port, interval_s=0.1)
    try:
        ledger.start()
        tally("policy", "trust", "ledger", ledger.name, "--policy", policy)
        with Submitter(broker.port, ledger.id) as one:
            yield Site(ledger, one, policy)
    finally:
        ledger.kill()


def test_show_a_block_and_the_newest_milestone(site: Site, tally: Tally) -> None:
    """What a person reads first when somebody doubts an anchor."""
    ran = tally("ledger", "show", site.name, *site.at)
    assert (0, "") == (ran.status, ran.err)
    assert ran.out.startswith("confirmed by milestone ")
    facts = json.loads(tally("ledger", "show", site.name, *site.at, "--json").out)
    assert ("confirmed", site.name, "anchor") == (facts["state"], facts["block"], facts["kind"])
    assert 1 == facts["checkpoint"]["size"]
    newest = json.loads(tally("ledger", "show", *site.at, "--json").out)
    assert ("milestone", 1) == (newest["state"], newest["schema"])
    assert newest["milestone"]["index"] >= facts["confirmed by milestone"]


def test_path_is_a_proof_of_its_own(site: Site, tally: Tally, tmp_path: Path) -> None:
    """It can be kept and verified without the ledger."""
    file = tmp_path / "anchor.confirmed"
    ran = tally("ledger", "path", site.name, *site.at, "-o", file, "--json")
    assert 0 == ran.status, ran.err
    facts = json.loads(ran.out)
    proof = milestone.parse_confirmed(file.read_bytes())
    proof.verify_inclusion()
    assert [one.hex() for one in proof.path] == facts["path"]
    assert len(file.read_bytes()) == facts["bytes"]
    assert 2 == tally("ledger", "path", site.name, *site.at, "-o", file).status  # never over a file
    assert 0 == tally("inspect", file).status


def test_tips(site: Site, tally: Tally) -> None:
    """Somebody who writes a client wants to see what he would build on."""
    ran = tally("ledger", "tips", "--ledger", site.ledger.url(), "--json")
    assert 0 == ran.status
    tips = json.loads(ran.out)["tips"]
    assert tips
    assert all(len(bytes.fromhex(one)) == 32 for one in tips)


def test_export_is_all_of_it(site: Site, tally: Tally, tmp_path: Path) -> None:
    """An auditor keeps the whole ledger, and knows that nothing is missing."""
    for size in range(2, 6):
        site.post(size)
    file = tmp_path / "all.blocks"
    ran = tally("ledger", "export", *site.at, "-o", file, "--json")
    assert 0 == ran.status, ran.err
    facts = json.loads(ran.out)
    raws: list[bytes] = []
    with file.open("rb") as stream:
        while len(raws) < facts["blocks"]:
            raws.append(cbor2.load(stream))
        assert b"" == stream.read()
    leaves = [merkle.leaf_hash(block.block_id(raw)) for raw in raws]
    assert facts["root"] == merkle.root(leaves).hex()
    assert 2 == tally("ledger", "export", *site.at, "-o", file).status
    assert [] == list(tmp_path.glob(".*.new"))


@pytest.mark.parametrize("subcommand", ["show", "path"])
def test_wrong_use(site: Site, tally: Tally, subcommand: str) -> None:
    """Each mistake has its own words."""
    for which, status, words in (
        ("xyz", 2, "not the id of a block"),
        ("0" * 64, 5, "no block"),
    ):
        ran = tally("ledger", subcommand, which, *site.at)
        assert status == ran.status
        assert words in ran.err
        assert "" == ran.out
    ran = tally("ledger", subcommand, site.name, "--ledger", "http://127.0.0.1:1", *site.at[2:])
    assert 5 == ran.status


def test_ledger_that_is_not_trusted(site: Site, tally: Tally, tmp_path: Path) -> None:
    """Its own word for itself must not be shown as proof."""
    site.policy.write_text("version = 1\n")
    for args in (["show"], ["show", site.name], ["path", site.name]):
        ran = tally("ledger", *args, *site.at)
        assert 5 == ran.status
        assert "not in the policy" in ran.err
        assert "" == ran.out
    ran = tally("ledger", "export", *site.at, "-o", tmp_path / "x")
    assert 5 == ran.status
    assert not (tmp_path / "x").exists()


def test_ledger_that_lies_is_refused(
    site: Site, tally: Tally, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node in the middle gives another block, another place, or leaves one out."""
    other = site.post(2)
    true_confirmed, true_blocks = source.confirmed, source.blocks
    monkeypatch.setattr(source, "confirmed", lambda url, _: true_confirmed(url, other))
    ran = tally("ledger", "path", site.name, *site.at)
    assert 1 == ran.status
    monkeypatch.setattr(source, "confirmed", true_confirmed)

    # one is left out, and the last said twice in its place
    def without_one(url: str, start: int) -> bytes:
        return true_blocks(url, start + 1) or true_blocks(url, start)

    monkeypatch.setattr(source, "blocks", without_one)
    ran = tally("ledger", "export", *site.at, "-o", tmp_path / "x")
    assert 1 == ran.status
    assert "ledger.root" in ran.err
    assert not (tmp_path / "x").exists()
