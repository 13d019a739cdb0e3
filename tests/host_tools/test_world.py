"""The simulator of the other tests is worth what the verifier says of it."""

from __future__ import annotations

import tallystick
from tallystick import milestone
from tallystick.verdict import Outcome, Status
from tests.host_tools.world import World


def test_the_world_makes_proofs_that_pass_every_check() -> None:
    """Broken: every verdict that the other tests expect would be of a wrong world, not of the command."""
    world = World()
    world.board.open()
    world.board.readings([215, 216])
    world.board.readings([217])
    verdict = tallystick.verify.verify(
        world.proof(1, 2), tallystick.policy.parse(world.policy().encode())
    )
    assert Status.VERIFIED is verdict.status
    assert {Outcome.OK, Outcome.SKIPPED} == {check.result for check in verdict.checks}
    assert 3 == verdict.readings


def test_the_ledger_confirms_each_block_in_its_place() -> None:
    """Broken: statements and anchors of the tests would stand at positions that no ledger gives."""
    world = World()
    world.board.open()
    world.proof(0)
    world.proof(0)
    for position in range(4):
        milestone.parse_confirmed(world.ledger.confirmed(position)).verify_inclusion()
