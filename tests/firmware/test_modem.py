"""Boards whose way to the gateway is a modem: MQTT inside it, over a real serial line, to a real broker.

If these fail, a board in a field without Wi-Fi is deaf, or its modem hangs once and the board is lost.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.firmware import cellular
from tests.firmware.bench import GatewayDouble, Signer, VirtualBoard, check_chain, genesis_prev
from tests.parts import Broker


@pytest.mark.parametrize("model", ["SIM7600", "A7670", "SIM7000"])
def test_records_arrive_through_a_modem(tmp_path: Path, broker: Broker, model: str) -> None:
    """Each dialect, from a modem that is switched off to records that the gateway has acknowledged."""
    owner, signer = Signer(), Signer()
    folder = tmp_path / "board"
    with cellular.Modem(folder, model, broker.port), VirtualBoard(folder) as board:
        public = board.provision(owner, signer, broker.port, **cellular.settings(model))
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            board.ok("run")
            check_chain(gateway.wait(8), genesis_prev(public))
            board.reach("upto", 4)
            assert max(len(record.data) for record in gateway.chain()) <= 256
            assert "ready" in gateway.states


CARDS = {"iot-safe": {"key": "iot-safe"}, "signit": {"key": "signit", "card_pin": "1234"}}


@pytest.mark.parametrize(
    ("model", "applet", "moods"),
    [
        ("SIM7600", "iot-safe", {}),
        ("SIM7000", "iot-safe-der", {"bare": True, "pieces": 2}),
        ("A7670", "iot-safe", {"ccho": True, "chatter": ["RING", "+CREG: 5"]}),
        ("SIM7600", "signit", {"garbage": True}),
    ],
)
def test_a_key_in_the_card_signs_the_chain(
    tmp_path: Path, broker: Broker, model: str, applet: str, moods: dict[str, object]
) -> None:
    """Both applets, both ways to them, each dialect: records that P-256 verifies, linked from the first on."""
    owner, signer = Signer(), Signer()
    folder = tmp_path / "board"
    key = CARDS[applet.removesuffix("-der")]
    cellular.lay_out(folder, **cellular.settings(model), **key)
    card = ("--card", str(tmp_path / "card.json"), "--applet", applet)
    with (
        cellular.Modem(folder, model, broker.port, *card, moods=moods),
        VirtualBoard(folder) as board,
    ):
        public = board.provision(owner, signer, broker.port, interval_ms=500)
        assert (33, -9) == (len(public), board.info()["alg"])
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            board.ok("run")
            check_chain(gateway.wait(6), genesis_prev(public))
            board.reach("upto", 3)


def test_a_card_goes_on_in_another_board(tmp_path: Path, broker: Broker) -> None:
    """The identity is the card's: the spare board adopts the chain, and the first board does not fork it afterwards."""
    owner, signer = Signer(), Signer()
    card = ("--card", str(tmp_path / "card.json"))
    first, spare = tmp_path / "first", tmp_path / "spare"
    for folder in (first, spare):
        cellular.lay_out(folder, key="iot-safe", **cellular.settings("SIM7600"))
    with cellular.Modem(first, "SIM7600", broker.port, *card), VirtualBoard(first) as board:
        public = board.provision(owner, signer, broker.port, interval_ms=300)
        with GatewayDouble(broker.port, public, signer) as gateway:
            gateway.automatic = True
            board.ok("run")
            gateway.wait(5)
            board.reach("upto", 3)
    held = len(gateway.records)
    with GatewayDouble(broker.port, public, signer) as again:
        again.records.update(gateway.records)
        again.automatic = True
        with cellular.Modem(spare, "SIM7600", broker.port, *card), VirtualBoard(spare) as board:
            assert public.hex() == board.info()["key"]
            board.ok(f"set owner {owner.public.hex()}")
            board.ok(f"set grant {owner.grant(signer).hex()}")
            board.ok(f"set broker 127.0.0.1 {broker.port}")
            board.ok('set config {"interval_ms": 300}')
            assert board.status()["halted"] == "the board has a key and no head"
            board.ok("run")
            chain = again.wait(held + 5)
            check_chain(chain, genesis_prev(public))
            board.reach("upto", held + 3)
        adopted = [record for record in chain if record.payload[3:5] == [3, 3]]
        assert len(adopted) == 1
        assert adopted[0].seq >= held - 1
        held = len(again.records)
        # back in the first board, whose own head is an old one by now
        with cellular.Modem(first, "SIM7600", broker.port, *card), VirtualBoard(first) as board:
            chain = again.wait(held + 4)
            check_chain(chain, genesis_prev(public))
            assert any(
                "waiting for the gateway" in line or "goes on" in line for line in board.said
            )
