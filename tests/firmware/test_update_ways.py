"""Updates over the air to boards that are hard to reach: asleep, behind a modem, in a small heap, without a radio yet.

A board that hears of no update, or of a part at each wake-up, stays as it was built.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.firmware import cellular
from tests.firmware.new_agents import MACHINES, agent, compiled, digest, packed
from tests.firmware.test_end_to_end import world
from tests.firmware.test_updates import NOT_AN_AGENT, Updated, changed, wait
from tests.parts import Broker

SMALL = "armv7emdp"  # 32 bits and 111 KiB, as an ESP32 has


@pytest.mark.timeout(300)
def test_a_board_that_sleeps(tmp_path: Path, broker: Broker) -> None:
    """Boards on a battery hear of an update at a wake-up, and could only fetch a part of it at each."""
    made = Updated(
        tmp_path / "board",
        broker,
        bits=32,
        settings={"sleep": 1, "awake_s": 3, "interval_ms": 1500, "publish_every": 3},
    )
    try:
        made.board.restart()  # nobody types from here on
        asleep = made.board.said.count
        wait(lambda: _sleeps(made) >= 4, lambda: f"{made.board.said[-20:]}")
        questions: list[bytes] = []

        def noted(question: bytes) -> bool:
            questions.append(question)
            return True

        made.carrier.before = noted
        files = changed(tmp_path, architecture=SMALL)
        made.carrier.offer(packed(made.key, 5, files, machine=MACHINES[SMALL]))
        made.until("done")
        # it has listened for the answer to each question
        assert len(questions) == len(set(questions)) >= 8
        assert 1 == asleep("# update 5 to 9.0.0")
        before = _sleeps(made)
        wait(lambda: _sleeps(made) >= before + 3, lambda: f"{made.board.said[-20:]}")
        made.board.restart()
        made.check_runs(digest(files))
        assert [[b"0.1.0", b"9.0.0", 0]] == made.events()
    finally:
        made.close()


def _sleeps(made: Updated) -> int:
    return sum(line.startswith("# asleep") for line in made.board.said)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("model", "bits"), [("SIM7600", 64), ("SIM7000", 32)])
def test_through_a_modem(tmp_path: Path, broker: Broker, model: str, bits: int) -> None:
    """Parts that the way does not take never arrive: a cellular board could not be updated at all."""
    folder = tmp_path / "board"
    architecture = SMALL if bits == 32 else "x64"
    files = changed(tmp_path, architecture=architecture)
    # what ends a message to the SIM7000, which says no lengths
    source = "X = " + repr(b'"\r\n' * 3 + b"quoted" + b'"\r\nOK\r\n')
    files["tally/news.mpy"] = compiled(tmp_path, "news", source + "\n", architecture)
    assert b'"\r\n"\r\n"' in files["tally/news.mpy"]
    with cellular.Modem(folder, model, broker.port):
        settings = {**cellular.settings(model), "interval_ms": 1000}
        made = Updated(folder, broker, bits=bits, settings=settings)
        longest = 220 if model == "SIM7000" else 768
        lengths: list[int] = []

        def before(question: bytes) -> bool:
            lengths.append(int(question.split()[2]))
            return True

        made.carrier.before = before
        try:
            made.carrier.offer(packed(made.key, 5, files, machine=MACHINES[architecture]))
            made.until("done")
            made.check_runs(digest(files))
            assert longest == max(lengths)
            assert [[b"0.1.0", b"9.0.0", 0]] == made.events()
        finally:
            made.close()


def test_a_small_heap(tmp_path: Path, broker: Broker) -> None:
    """A board that measures in a small heap would start anew at each connection, for as long as the offer stands."""
    made = Updated(tmp_path / "board", broker, bits=32, heap="72k")
    try:
        files = changed(tmp_path, architecture=SMALL)
        made.carrier.offer(packed(made.key, 5, files, machine=MACHINES[SMALL]))
        assert "update.memory" == made.until("refused", "done")["code"]
        made.check_runs(digest(agent(SMALL)))
        assert 1 == made.board.said.count("# running")
    finally:
        made.close()


@pytest.mark.timeout(300)
def test_the_end_is_said_when_there_is_a_way(tmp_path: Path, broker: Broker) -> None:
    """Whoever waits for a board that was undone would read `switching` for ever: it starts before its radio does."""
    made = Updated(tmp_path / "board", broker, world={})
    try:
        files = {
            **agent(),
            "tally/life.mpy": compiled(tmp_path, "life", NOT_AN_AGENT["dies at once"]),
        }
        made.carrier.offer(packed(made.key, 5, files))
        made.until("switching")
        world(made.board, radio="off")
        wait(lambda: "# update 5 is undone" in made.board.said, lambda: f"{made.board.said[-20:]}")
        assert "switching" == made.carrier.states[-1]["state"]
        world(made.board)
        said = made.until("undone")
        assert {"counter": 5, "state": "undone", "version": "0.1.0"} == said
        made.check_runs(digest(agent()))
    finally:
        made.close()
