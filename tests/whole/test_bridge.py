"""A whole site that anchors to a real Conflux node, with the gateway as it is.

If this fails, a site that outgrows its embedded ledger has to change its gateways, or holds proofs that nobody can
verify.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tallystick import cbor, milestone, proof
from tools.conflux import CHAIN_ID, FUNDED, Network, call
from tools.parts import LOOPBACK, free_port
from tools.site import BIN, Site, command, wait_for

ANCHORED_S = 240.0
pytestmark = pytest.mark.timeout(600)
AGE_BLOCKS = 270


class BridgedSite(Site):
    """A site with a bridge in the place of its ledger; the rest is started as ever."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        self.url = url
        self.bridge_line = ""
        self.bridge_port = free_port()

    def make_keys(self) -> None:
        """The bridge's line takes the place of the ledger's."""
        command("tally", "init", home=self.home)
        command("tally-gateway", "init", "--dir", self.gateway_folder)
        secret = self.folder / "account.secret"
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(FUNDED[8])
        command(
            *("tally-ledger", "bridge", "init", "--dir", self.ledger_folder),
            *("--chain", str(CHAIN_ID), "--key-file", secret),
        )
        self.bridge_line = command(
            "tally-ledger", "bridge", "identity", "--dir", self.ledger_folder
        ).strip()
        self.ledger_line = self.bridge_line.split()[0]
        self.gateway_line = command(
            "tally-gateway", "identity", "--dir", self.gateway_folder
        ).strip()
        command(
            *("tally-ledger", "bridge", "allow", "--dir", self.ledger_folder, self.gateway_line)
        )
        command("tally", "policy", "trust", "gateway", self.gateway_line, home=self.home)

    def start_services(self) -> None:
        """The same gateway, word for word; the bridge instead of `tally-ledger run`."""
        self.start(
            "ledger",
            [
                *(BIN / "tally-ledger", "bridge", "evm", "--dir", self.ledger_folder),
                *("--broker", self.broker_address, "--rpc", self.url, "--budget", "100"),
                *("--interval", "1", "--http", f"{LOOPBACK}:{self.bridge_port}"),
            ],
        )
        self.start(
            "gateway",
            [
                *(BIN / "tally-gateway", "run", "--dir", self.gateway_folder),
                *("--broker", self.broker_address, "--http", self.gateway_address),
                *("--ledger", self.ledger_line, "--enrolment", self.enrolment),
                *("--anchor-interval", "1", "--checkpoint-interval", "1"),
            ],
        )
        wait_for("the gateway answers", lambda: self.ask("/healthz") is not None, 20)


def newest_block(url: str) -> int:
    """The number of a node's newest block."""
    return int(call(url, "eth_blockNumber"), 16)


def verify(site: Site, *words: str | Path) -> tuple[int, str, str]:
    """`tally verify`: exit status, stdout, stderr."""
    return tally(site, "verify", *words)


def prove(site: Site, board: str, name: str) -> bytes:
    """The proof of record 1 as it is now; empty if there is none yet."""
    words = ("prove", board, "1", "--gateway", site.gateway_url, "-o", site.folder / name)
    tally(site, *words)
    path = site.folder / name
    return path.read_bytes() if path.exists() else b""


def tally(site: Site, *words: str | Path) -> tuple[int, str, str]:
    """Any command of `tally`: exit status, stdout, stderr."""
    done = subprocess.run(
        [BIN / "tally", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "TALLY_HOME": str(site.home), "NO_COLOR": "1"},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgedSite]:
    """One board's reading, anchored by the bridge, and its proof in `one.tally`."""
    folder = tmp_path_factory.mktemp("site")
    with (
        Network(folder / "conflux", interval_ms=100) as network,
        BridgedSite(folder / "site", network[0].url) as site,
    ):
        site.make_keys()
        site.start_services()
        board = site.enrol("cellar", bits=64, interval_ms=500)
        site.start_board("cellar")
        wait_for("two records", lambda: len(prove(site, board, "pending.tally")) > 0, ANCHORED_S)
        wait_for("two anchored", lambda: (site.device(board).get("anchored") or 0) >= 2, ANCHORED_S)
        site.check_alive()
        command(
            *("tally", "prove", board, "1", "--gateway", site.gateway_url),
            *("-o", site.folder / "one.tally"),
            home=site.home,
        )
        # a young Conflux chain takes its word back which block is safe, at some 150 blocks
        wait_for("the chain is of age", lambda: newest_block(site.url) > AGE_BLOCKS, ANCHORED_S)
        yield site


def test_verdicts_of_a_bridged_proof(site: BridgedSite) -> None:
    """What the bridge alone says would pass for the other ledger's word; or the right word for nothing."""
    file = site.folder / "one.tally"
    # nobody trusts the bridge yet
    assert 4 == verify(site, file)[0]
    command("tally", "policy", "trust", "bridge", site.bridge_line, home=site.home)
    status, out, err = verify(site, file)
    assert (5, "") == (status, err)
    assert "UNDECIDED" in out.splitlines()[0]
    assert "  skipped  ledger.transaction" in out
    assert f"  hint: tally verify --rpc URL {file}, with a node of that ledger" in out.splitlines()
    status, out, err = verify(site, "--rpc", site.url, file)
    assert (0, "") == (status, err), out
    assert "VERIFIED" in out.splitlines()[0]
    assert "not after" in out
    (facts,) = [json.loads(line) for line in verify(site, "--json", file)[1].splitlines()]
    checks = {one["code"]: one["result"] for one in facts["checks"]}
    assert ("UNDECIDED", "skipped", None) == (
        *(facts["status"], checks["ledger.transaction"], facts["not_after"]),
    )
    assert facts["hint"].startswith("tally verify --rpc URL ")


def test_without_the_transaction(site: BridgedSite) -> None:
    """A proof whose transaction was cut out would do with the bridge's word."""
    decoded: Any = cbor.decode((site.folder / "one.tally").read_bytes())
    parts = [part for part in decoded[2] if part[0] != proof.Part.TRANSACTION]
    assert len(parts) == len(decoded[2]) - 1
    cut = site.folder / "cut.tally"
    cut.write_bytes(cbor.encode(["tally", 1, parts]))
    policy = site.folder / "bridge.toml"
    policy.write_text((site.home / "policy.toml").read_text())
    command(
        *("tally", "policy", "trust", "bridge", site.bridge_line, "--policy", policy),
        home=site.home,
    )
    status, out, _ = verify(site, "--rpc", site.url, "--policy", policy, cut)
    assert 5 == status
    assert "no transaction in the file" in out


def test_nodes_that_are_no_help(site: BridgedSite, tmp_path: Path) -> None:
    """A dead node would be an error without a verdict; a token of its URL would stand on the screen."""
    file = site.folder / "one.tally"
    policy = tmp_path / "policy.toml"
    policy.write_text((site.home / "policy.toml").read_text())
    command(
        *("tally", "policy", "trust", "bridge", site.bridge_line, "--policy", policy),
        home=site.home,
    )
    nobody = f"http://{LOOPBACK}:{free_port()}"
    status, out, err = verify(site, "--policy", policy, "--rpc", nobody, file)
    assert (5, "") == (status, err)
    assert f"warning: the node {nobody}: " in out
    assert "skipped  ledger.transaction" in out
    token = "0123456789abcdef0123456789abcdef"
    status, out, err = verify(site, "--policy", policy, "--rpc", f"{nobody}/v3/{token}", file)
    assert (2, "") == (status, out)
    assert token not in err
    assert "--rpc-file" in err
    listed = tmp_path / "rpc.url"
    listed.write_text(f"{nobody}/v3/{token}\n")
    status, out, err = verify(site, "--policy", policy, "--rpc-file", listed, file)
    assert 5 == status
    assert token not in out + err
    assert 2 == verify(site, "--rpc", "not a url", file)[0]
    # with one that answers beside it
    status, out, err = verify(site, "--policy", policy, "--rpc", nobody, "--rpc", site.url, file)
    assert 0 == status


def test_what_the_operator_sees(site: BridgedSite) -> None:
    """An operator could not say what was spent, nor what waits."""
    said = command("tally-ledger", "bridge", "status", "--json", "--dir", site.ledger_folder)
    found = json.loads(said)
    assert "" == found["trouble"]
    assert found["records"] >= 2
    assert float(found["cost_per_million_readings"]) > 0
    assert float(found["spent"]) > 0
    assert f"eip155:{CHAIN_ID}:0x" in found["account"]
    shown = command("tally-ledger", "bridge", "status", "--dir", site.ledger_folder)
    assert "a million readings" in shown
    # the secret stands nowhere but in its file
    for log in site.folder.glob("*.log"):
        assert FUNDED[8] not in log.read_text()


def test_what_else_asks_the_other_ledger(site: BridgedSite, tmp_path: Path) -> None:
    """A bridged proof could be verified, and neither completed, shown nor exported."""
    policy, rpc = tmp_path / "policy.toml", ("--rpc", site.url)
    policy.write_text((site.home / "policy.toml").read_text())
    command(
        *("tally", "policy", "trust", "bridge", site.bridge_line, "--policy", policy),
        home=site.home,
    )
    trusting = ("--policy", policy)
    waiting = (site.folder / "pending.tally").read_bytes()
    assert 3 == verify(site, *trusting, site.folder / "pending.tally")[0]
    for more, status in (((), 5), (rpc, 0)):
        file = tmp_path / "some.tally"
        file.write_bytes(waiting)
        upgrade = ("upgrade", file, "--gateway", site.gateway_url, *trusting)
        found, out, err = tally(site, *upgrade, *more)
        # completed in any case; whether the other ledger has it, only a node of that ledger knows
        assert status == found, err
        assert file.read_bytes() != waiting
        assert ("UNDECIDED" in out, "--rpc URL" in err) == (status == 5, status == 5)
    assert 0 == verify(site, *trusting, *rpc, file)[0]
    found, out, err = tally(site, "report", file, *trusting, *rpc)
    assert 0 == found, err
    assert "ledger.transaction" in (tmp_path / "some.html").read_text()
    assert 5 == tally(site, "export", file, "--to", "csv", *trusting)[0]
    found, out, err = tally(site, "export", file, "--to", "csv", *trusting, *rpc)
    assert 0 == found, err
    assert (tmp_path / "some.csv").read_text().startswith("time,device,seq,verdict,")
    # a token is kept out of the arguments here as well
    token = f"{site.url}/v3/0123456789abcdef0123456789abcdef"
    found, out, err = tally(site, "report", file, "--force", *trusting, "--rpc", token)
    assert (2, True) == (found, "--rpc-file" in err)


def test_the_bridge_says_how_it_is(site: BridgedSite) -> None:
    """Whoever watches a site would have to log in to see that its anchors stand still."""
    url = f"http://{LOOPBACK}:{site.bridge_port}"
    health = httpx.get(f"{url}/healthz").json()
    assert ("ok", "connected", "") == (health["status"], health["broker"], health["trouble"])
    assert site.bridge_line.split()[1] == health["account"]
    text = httpx.get(f"{url}/metrics").text
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert 0 == found[("tallystick_bridge_in_trouble",)]
    assert found[("tallystick_bridge_balance_coins",)] > 9_000
    assert found[("tallystick_bridge_spent_coins",)] > 0
    settled = [found[("tallystick_bridge_notes", name)] for name in ("safe", "final")]
    assert sum(settled) >= 1
    # what it serves proves itself: an anchor with its transaction
    anchor = proof.parse((site.folder / "one.tally").read_bytes()).anchor
    assert anchor is not None
    raw = httpx.get(f"{url}/v1/blocks/{anchor.block.id.hex()}/confirmed").content
    held = milestone.parse_confirmed(raw)
    assert held.transaction == anchor.transaction
