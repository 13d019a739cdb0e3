"""The bridge: a ledger to those at the broker, whose anchors stand on an EVM-speaking ledger.

It answers on the same topics as the embedded node and signs milestones as it does. An anchor is
confirmed when the transaction that carries it has got far enough on the other ledger, and its receipt
carries that transaction. `outbox` is the database of what is to be paid, `poster` the one thread that
pays, `evm` talks to a node of the other ledger, `node` gives the broker its answers, `budget` is
pure arithmetic, `watch` follows embedded ledgers whose checkpoints are posted too.
"""

from __future__ import annotations
