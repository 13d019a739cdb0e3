"""The embedded ledger: a DAG of blocks behind MQTT, whose milestones say when a block was there.

`dag`, `tree` and `admission` are pure; `store` is the database, `node` the rules over it, `loop` the
one thread that writes; `mqtt` and `http` are the edges, `folder` is what stands on disk, `fsck`
derives it all again.
"""

from __future__ import annotations
