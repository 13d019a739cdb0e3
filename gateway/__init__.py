"""The gateway: MQTT in, Merkle log, anchors out (docs/format.md, sections 5 to 8 and 13).

What stands where::

    folder       what lies in the data folder, its lock, files that are whole or not there
    store, rows  SQLite: the truth about what was admitted
    enrolment    which devices may speak, and the owner's grant
    examine      a message by itself: form, topic, enrolment, signature (`verifiers`: on all cores)
    intake       one message in, one outcome out; a batch is one transaction
    quota        a device's share; `refusals`: one budget for all that nobody vouches for
    log, tiles   the Merkle tree over all admitted records, as C2SP tlog-tiles; `mark`: how far they are durable
    checkpoints  signs the tree's size and root, and never two trees that fork
    acks         tells the boards what is durable here; `outbox` says it, and what else there is to say
    anchors      posts checkpoints to the ledger and keeps what it answers
    verified     the newest readings, for dashboards
    proofs       the .tally file of some records
    fsck         computes everything again from the stored bytes
    backup       a consistent copy, and a folder made of one that knows whether it is old
    audit        somebody else's log (`tlog`), followed and cosigned (`witness`, `witness_http`)
    mqtt, http   the two doors; `wire` and `inbox` make the first one fast and bounded
    writer       the one thread that changes anything
    cli          the command, `commands/` its parts, `console` what they share, `logs` the service's log

Rules: persist, then acknowledge. Verified bytes are stored as they came. Nothing that a message
holds ends the service.
"""

from __future__ import annotations
