"""What a policy asks for besides: board kinds, agents, the age of the anchor, fewer checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.world import START, World, small
from tools.cheats import Cheat, policy_table, rebuilt

_DIGEST = bytes(range(16)).hex()


def cheats() -> Iterator[Cheat]:
    """Each wish, met and not met."""
    world, data = small()
    board = rebuilt(data, credential=world.credential(board="ESP32_GENERIC_S3"))

    def asked(
        name: str,
        given: bytes,
        verdict: str,
        code: str,
        result: str,
        now: int | None = None,
        **require: Any,
    ) -> Cheat:
        cheat = "honest" if verdict == "VERIFIED" else "policy"
        return Cheat(
            cheat, name, given, policy_table(world, **require), verdict, code, result, now=now
        )

    kinds: dict[str, Any] = {"boards": ["ESP32_GENERIC_S3", "ESP32_GENERIC"]}
    yield asked("a board kind that is accepted", board, "VERIFIED", "board.kind", "ok", **kinds)
    yield asked(
        "a board kind that is not accepted",
        board,
        "UNTRUSTED",
        "board.kind",
        "untrusted",
        boards=["VIRTUAL"],
    )
    yield asked(
        "no board kind, where one is asked for",
        data,
        "UNDECIDED",
        "board.kind",
        "undecided",
        **kinds,
    )
    agents: dict[str, Any] = {"agents": [bytes(16).hex(), _DIGEST]}
    yield asked("an agent that is accepted", data, "VERIFIED", "agent.digest", "ok", **agents)
    yield asked(
        "an agent that is not accepted",
        data,
        "UNTRUSTED",
        "agent.digest",
        "untrusted",
        agents=[bytes(16).hex()],
    )
    event = World()
    event.device.open()
    said = event.device.event(7, 0, 1)
    event.publish()
    yield Cheat(
        *("policy", "no open says which agent", event.prove([said]), policy_table(event, **agents)),
        *("UNDECIDED", "agent.digest", "undecided"),
    )
    age: dict[str, Any] = {"anchor_age": "30d"}
    yield asked(
        "an anchor that is young enough",
        data,
        "VERIFIED",
        "anchor.age",
        "ok",
        START + 86_400,
        **age,
    )
    yield asked(
        "an anchor that is too old",
        data,
        "UNTRUSTED",
        "anchor.age",
        "untrusted",
        START + 40 * 86_400,
        **age,
    )
    yield asked("nobody says what time it is", data, "UNDECIDED", "anchor.age", "undecided", **age)
    bare = rebuilt(data, inclusions=[], anchor=None, checkpoint=world.log.checkpoint())
    yield asked(
        "signatures and links are enough",
        bare,
        "VERIFIED",
        "log.inclusion",
        "skipped",
        checks=["record.signature", "chain.link", "device.credential", "checkpoint.signature"],
    )
    raw = world.device.records[1].raw
    forged = rebuilt(data, records=[raw[:-1] + bytes([raw[-1] ^ 1])])
    yield asked(
        "what is not required and fails",
        forged,
        "TAMPERED",
        "record.signature",
        "failed",
        checks=[],
    )
