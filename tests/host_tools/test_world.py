"""The simulator of the other tests is worth what the verifier says of it."""

from __future__ import annotations

import tallystick
from tallystick.verdict import Outcome, Status
from tests.world import World


def test_the_world_makes_proofs_that_pass_every_check() -> None:
    """Broken: every verdict that the other tests expect would be of a wrong world, not of the command."""
    world = World()
    world.device.open()
    world.device.readings([215, 216])
    world.device.readings([217])
    data = world.proof(1, 2)
    assert world.policy_text().startswith("# ")
    verdict = tallystick.verify.verify(data, tallystick.policy.parse(world.policy_text().encode()))
    assert Status.VERIFIED is verdict.status
    assert {Outcome.OK, Outcome.SKIPPED} == {check.result for check in verdict.checks}
    assert 3 == verdict.readings


def test_the_ledger_confirms_each_block_in_its_place() -> None:
    """Broken: statements and anchors of the tests would stand at positions that no ledger gives."""
    world = World()
    world.device.open()
    world.proof(0)
    world.proof(0)
    for position, id in enumerate(world.ledger.order):
        confirmed = world.ledger.confirmed(id)
        confirmed.verify_inclusion()
        assert position == confirmed.position
    assert 4 == len(world.ledger.order)
