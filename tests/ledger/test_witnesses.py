"""Checkpoints cosigned by a stock witness: aics-witness, which others wrote."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import httpx
import pytest

from tallystick import checkpoint, merkle
from tallystick.cosignature import WitnessKey
from tallystick.proof import parse_cosigned
from tallystick.receipt import State
from tallystick_ledger.errors import LedgerError
from tallystick_ledger.witnesses import parse as parse_witness
from tests import parts
from tests.ledger.site import Ledger, Submitter, anchor, gateway_key, until
from tests.parts import LOOPBACK, Broker

NAME = "witness.test/w1"


class Witness:
    """`aics-witness` in a folder, on a port of its own."""

    def __init__(self, folder: Path, ledger: str) -> None:
        self.folder = folder
        self.port = parts.free_port()
        folder.mkdir()
        self.key = self._run("init", "--name", NAME).strip().splitlines()[-1]
        origin = ledger.partition("+")[0]
        self._run("add-log", "--origin", origin, "--vkey", ledger)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The prefix of its addresses."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def option(self) -> str:
        """For `--witness`."""
        return f"{self.url}={self.key}"

    def _run(self, *args: str) -> str:
        first, *rest = args
        argv = [*parts.witness(), first, "--config", str(self.folder / "witness.json"), *rest]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert 0 == done.returncode, done.stderr
        return done.stdout

    def __enter__(self) -> Self:
        config = str(self.folder / "witness.json")
        argv = [*parts.witness(), "serve", "--config", config]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*argv, "--listen", f"{LOOPBACK}:{self.port}"], stdout=log, stderr=log
            )

        def answers() -> bool:
            try:
                return httpx.get(f"{self.url}/healthz").is_success
            except httpx.HTTPError:
                return False

        until(answers, "the witness")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Ledger], Witness]]:
    """Starts a witness of a ledger, until the test ends."""
    with ExitStack() as running:
        yield lambda ledger: running.enter_context(Witness(tmp_path / "witness", ledger.name))


def lines(ledger: Ledger) -> int:
    """Signature lines of the newest checkpoint that the ledger serves."""
    try:
        answer = httpx.get(f"{ledger.url()}/v1/checkpoint")
    except httpx.HTTPError:
        return 0  # it has just been started
    return len(checkpoint.parse(answer.content).note.signatures) if answer.is_success else 0


@pytest.mark.timeout(120)
def test_stock_witness_cosigns(
    tmp_path: Path, broker: Broker, start: Callable[[Ledger], Witness]
) -> None:
    """Each checkpoint gets its line, the anchor its proof; a copy that was restored from before is found out even
    where the broker has forgotten everything.
    """
    ledger = Ledger(tmp_path / "site", broker.port, interval_s=0.3)
    try:
        witness = start(ledger)
        key = WitnessKey.parse(witness.key)
        ledger.start("--witness", witness.option)
        with Submitter(broker.port, ledger.id) as one:
            name = one.submit(anchor(one.parents()))
            proof = one.answer(name, State.CONFIRMED).confirmed
            assert proof is not None
            url = f"{ledger.url()}/v1/blocks/{name.hex()}/cosigned"
            answer = until(lambda: found if (found := httpx.get(url)).is_success else None, "lines")
            cosigned = parse_cosigned(answer.content)
            stone, note = proof.milestone, cosigned.checkpoint
            merkle.verify_consistency(
                *(stone.size, stone.root, note.size, note.root, cosigned.path)
            )
            assert key.seen_at(note.note) is not None
            until(
                lambda: checkpoint.parse(one.retained[one.topics.checkpoint]).note.signatures[1:],
                "a cosigned checkpoint at the broker",
            )
            assert 0 == ledger.stop()
            old = (ledger.folder / "ledger.db").read_bytes()
            ledger.start("--witness", witness.option)
            until(lambda: lines(ledger) > 1, "lines after a restart")
            index = ledger.index()
            until(lambda: ledger.index() > index + 2 and lines(ledger) > 1, "more of them")
            assert 0 == ledger.stop()
        for leftover in ledger.folder.glob("ledger.db*"):
            leftover.unlink()
        (ledger.folder / "ledger.db").write_bytes(old)
        # a broker that knows nothing: the witness alone remembers
        broker.kill()
        (broker.folder / "mosquitto.db").unlink(missing_ok=True)
        broker.start()
        ledger.start("--witness", witness.option)
        assert ledger.process is not None
        assert 1 == ledger.process.wait(15)
        assert f"error: the witness {NAME} holds" in ledger.log.read_text()
    finally:
        ledger.kill()


def test_witness_that_is_away_holds_up_nothing(tmp_path: Path, broker: Broker) -> None:
    """Milestones are the site's clock; they must not wait for somebody's server."""
    ledger = Ledger(tmp_path / "site", broker.port, interval_s=0.1)
    away = f"http://{LOOPBACK}:{parts.free_port()}={WitnessKey(NAME, gateway_key().public)}"
    try:
        ledger.start("--witness", away)
        with Submitter(broker.port, ledger.id) as one:
            name = one.submit(anchor(one.parents()))
            one.answer(name, State.CONFIRMED)
            answer = httpx.get(f"{ledger.url()}/v1/blocks/{name.hex()}/cosigned")
            assert (404, "checkpoint.not-cosigned") == (answer.status_code, answer.json()["code"])
        said = [e for e in ledger.events() if e["event"] == "witness unreachable"]
        assert 1 <= len(said) <= 2
        assert 0 == ledger.stop()
    finally:
        ledger.kill()


@pytest.mark.parametrize("text", ["", "http://x", "ftp://x=y", "http://x=a+b+c"])
def test_witness_option_with_a_mistake(text: str) -> None:
    """An operator who believes to be witnessed and is not is worse off than one who knows."""
    with pytest.raises(LedgerError):
        parse_witness(text)
