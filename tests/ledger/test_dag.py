"""The order of confirmation and the tips."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick_ledger import dag
from tallystick_ledger.dag import Pending, Roots, Score, Waiting

# a machine that others use, too, is slow at times
slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def drawn(data: st.DataObject) -> dict[bytes, tuple[bytes, ...]]:
    """A random DAG over a confirmed root: each block names 1 to 4 different earlier ones."""
    names = [b"root"]
    blocks: dict[bytes, tuple[bytes, ...]] = {}
    for number in range(data.draw(st.integers(1, 30), label="blocks")):
        parents = data.draw(
            st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True), label="parents"
        )
        name = b"%03d" % number
        blocks[name] = tuple(parents)
        names.append(name)
    return blocks


def pending_of(blocks: dict[bytes, tuple[bytes, ...]]) -> Pending:
    """The blocks, none of them confirmed."""
    made = Pending()
    for number, (name, parents) in enumerate(blocks.items()):
        made.attach(name, Waiting(number, parents, Roots(0, 0)))
    return made


@slow
@given(st.data())
def test_every_block_after_its_parents_and_once(data: st.DataObject) -> None:
    """Otherwise a statement could be proven earlier than what it answers, or a block counted twice."""
    blocks = drawn(data)
    tips = pending_of(blocks).tips
    chosen = data.draw(st.lists(st.sampled_from(tips), min_size=1, max_size=4, unique=True))
    got = dag.order(chosen, blocks)
    assert len(set(got)) == len(got)
    for block in got:
        for parent in blocks[block]:
            assert parent == b"root" or got.index(parent) < got.index(block)
    assert set(chosen) <= set(got)


@slow
@given(st.data(), st.integers())
def test_order_does_not_depend_on_arrival(data: st.DataObject, seed: int) -> None:
    """Two nodes, or one before and after a restart, would else sign different roots over one DAG."""
    blocks = drawn(data)
    tips = sorted(pending_of(blocks).tips)[:4]
    shuffled = list(blocks.items())
    random.Random(seed).shuffle(shuffled)
    assert dag.order(tips, blocks) == dag.order(tips, dict(shuffled))


def test_order_is_that_of_the_specification() -> None:
    """A verifier or a second ledger written from docs/format.md must come to the same positions."""
    #   g - a - b - d - (milestone: d, e)
    #        \- c -/   \
    #            \- e
    blocks = {b"a": (b"g",), b"b": (b"a",), b"c": (b"a",), b"d": (b"c", b"b"), b"e": (b"c",)}
    assert [b"a", b"c", b"b", b"d", b"e"] == dag.order([b"d", b"e"], blocks)
    assert [b"a", b"c", b"e", b"b", b"d"] == dag.order([b"e", b"d"], blocks)


def test_a_long_line_of_blocks_is_walked() -> None:
    """A gateway that builds on its own blocks for hours must not exhaust the interpreter's stack."""
    blocks = {b"%06d" % n: (b"%06d" % (n - 1),) for n in range(1, 20_001)}
    assert list(blocks) == dag.order([b"020000"], blocks)


@slow
@given(st.data())
def test_tips_are_the_blocks_without_children(data: st.DataObject) -> None:
    """A block that is no tip and that nobody names would never be confirmed."""
    blocks = drawn(data)
    pending = pending_of(blocks)
    named = {parent for parents in blocks.values() for parent in parents}
    assert [block for block in blocks if block not in named] == pending.tips
    first = pending.tips[:1]
    pending.attach(b"milestone", Waiting(99, tuple(first), Roots(0, 0)))
    pending.confirm(dag.order(first, pending.parents))
    assert b"milestone" in pending.tips
    assert first[0] not in pending


def test_lazy_tips_are_not_offered() -> None:
    """Who builds on old blocks for ever would else draw others to what nobody confirms soon (TIP-3)."""
    young, semi, lazy, deep = (
        Roots(20, 20),
        Roots(20, 6),  # 14 rounds
        Roots(11, 11),  # 9 rounds
        Roots(20, 4),  # 16 rounds
    )
    assert Score.NON_LAZY is young.score(20) is Roots(12, 7).score(20)
    assert Score.SEMI_LAZY is semi.score(20) is Roots(12, 5).score(20)
    assert Score.LAZY is lazy.score(20) is deep.score(20)
    pending = Pending()
    for name, roots in ((b"lazy", lazy), (b"deep", deep)):
        pending.attach(name, Waiting(1, (b"old",), roots))
    assert [] == pending.best_tips(20)
    pending.attach(b"semi", Waiting(2, (b"old",), semi))
    assert [b"semi"] == pending.best_tips(20)
    pending.attach(b"young", Waiting(3, (b"root",), young))
    assert [b"young"] == pending.best_tips(20)
    assert [b"lazy", b"deep", b"semi", b"young"] == pending.tips
