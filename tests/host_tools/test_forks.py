"""Forks across files, beyond the plain case: neighbours, keys, and what must not count."""

from __future__ import annotations

import json

from tallystick import proof
from tallystick.proof import Proof
from tallystick_host.forks import ForkWatch
from tests.host_tools.conftest import Tally
from tests.world import World, key


def _watch(*proofs: Proof) -> list[tuple[int, int, int]]:
    """(seq, file, file) of the forks found."""
    watch = ForkWatch()
    for number, one in enumerate(proofs):
        watch.see(number, one)
    found = watch.confirmed(lambda number: proofs[number]).values()
    return [(fork.first.seq, fork.first_file, fork.second_file) for fork in found]


def test_neighbours_that_do_not_continue_each_other(world: World) -> None:
    """Broken: a clone goes unnoticed when no two files hold the same seq."""
    clone = world.device.clone()
    world.device.readings([1])
    clone.readings([2])
    after = clone.readings([3])
    ours = proof.parse(world.proof(3))
    theirs = proof.parse(world.proof(after.seq, device=clone))
    assert [(3, 0, 1)] == _watch(ours, theirs)
    assert [(3, 1, 0)] == _watch(theirs, ours)


def test_one_chain_in_many_files_is_no_fork(world: World) -> None:
    """Broken: an honest board's overlapping proofs are called a clone's."""
    parts = [
        proof.parse(world.proof(first, last)) for first, last in ((0, 2), (1, 1), (1, 2), (2, 2))
    ]
    assert [] == _watch(*parts)


def test_the_fork_part_of_one_file_counts_for_its_neighbour(tally: Tally, world: World) -> None:
    """Broken: of two proofs of a cloned board only the one that carries the pair is distrusted."""
    clone = world.device.clone()
    pair = (world.device.readings([1]).raw, clone.readings([2]).raw)
    later = world.device.readings([3])
    paths = [
        tally.write("a.tally", world.proof(1, forks=[pair])),
        tally.write("b.tally", world.proof(later.seq)),
    ]
    policy = tally.write("policy.toml", world.policy_text())
    both = tally("verify", "--json", *paths, "--policy", policy).out.splitlines()
    assert ["VERIFIED", "UNTRUSTED"] == [json.loads(line)["status"] for line in both]
    assert 0 == tally("verify", "-q", paths[1], "--policy", policy).status


def test_another_board_with_the_same_seqs_is_no_fork(world: World) -> None:
    """Broken: two boards in one folder discredit each other."""
    other = World(key("other board"))
    other.device.open()
    assert [] == _watch(proof.parse(world.proof(0)), proof.parse(other.proof(0)))
