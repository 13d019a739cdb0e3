"""What each check of a verdict asks, and what each of its results means to whoever has to act on it."""

from __future__ import annotations

from typing import Final

__all__ = ["CHECKS"]

# check: what it asks, then for each result what it means and what to do
CHECKS: Final[dict[str, tuple[str, dict[str, tuple[str, str]]]]] = {
    "proof.format": (
        "is the file a proof in the one form that docs/format.md allows?",
        {
            "undecided": (
                "it is cut short, changed, of another kind or of a newer version; the code in front says where",
                "fetch it again; copy it as a binary file; tally inspect FILE shows what can be read",
            ),
        },
    ),
    "device.credential": (
        "does an issuer whom the policy trusts certify this device?",
        {
            "failed": (
                "the credential's signature is not the issuer's: it was forged or changed",
                "ask the issuer for the credential; do not use this proof",
            ),
            "undecided": (
                "there is no credential in the file, so nobody says whose record it is",
                "enrol the board with a credential, then fetch the proof again",
            ),
            "untrusted": (
                "the issuer is not in the policy, or the credential was not valid at the anchor, or is a person's",
                "tally policy trust issuer DID, if you trust it; else ask for a proof from the time of validity",
            ),
        },
    ),
    "device.key": (
        "do the device's keys follow from its first one?",
        {
            "failed": (
                "a rotation is not signed by the key before it, or the new key did not agree",
                "do not use this proof; compare with the gateway's chain of the device",
            ),
            "undecided": ("a rotation is missing in the file", "fetch the proof again"),
        },
    ),
    "record.signature": (
        "did the device sign every record in the file?",
        {
            "failed": (
                "a record was changed after it was signed, or somebody else signed it",
                "fetch the proof again; if it fails again, the change lies at the source",
            ),
            "undecided": (
                "a record is signed by a key that nothing in the file introduces",
                "the rotation to that key is missing, or the record is another device's: fetch the proof again",
            ),
        },
    ),
    "record.open": (
        "is the record in the file that says what the columns mean, and does it fit?",
        {
            "failed": (
                "the readings have more or fewer columns than their open has channels",
                "do not use the values; fetch the proof again",
            ),
            "undecided": (
                "the open is missing: signatures are good, but nobody says what was measured",
                "fetch the proof again",
            ),
            "untrusted": (
                "the open is signed by a key that was replaced before",
                "whoever holds the old key gave the columns a meaning: do not use the values",
            ),
            "skipped": ("the file holds no readings", "nothing"),
        },
    ),
    "chain.link": (
        "does every record continue the one before it?",
        {
            "failed": (
                "a record was put in, moved, or cut from another chain",
                "do not use this proof; fetch the range again from the gateway",
            ),
            "untrusted": (
                "two records, both signed by the device, contradict each other: its key or its flash was cloned",
                "see chain.fork",
            ),
            "skipped": ("a signature failed, so that links say nothing", "see record.signature"),
        },
    ),
    "chain.gap": (
        "is anything missing between the first and the last record, and does the board say why?",
        {
            "ok": (
                (
                    "nothing is missing; or the board's own event names what is: dropped with its storage, or "
                    "pruned for space"
                ),
                "dropped: look at the board's flash; pruned: give it a gateway sooner",
            ),
            "undecided": (
                (
                    "records are missing and no event explains it: somebody left them out, or the event itself "
                    "is not in the file"
                ),
                (
                    "fetch the whole range again (tally prove DEVICE A..B); if the gateway has it not, "
                    "tally-gateway shows the gap"
                ),
            ),
            "skipped": ("a signature failed", "see record.signature"),
        },
    ),
    "chain.fork": (
        "does anything in the files prove that the device's key signed two stories?",
        {
            "undecided": (
                "the file carries a pair that proves no fork",
                "fetch the proof again; whoever added the pair wanted to discredit the board",
            ),
            "untrusted": (
                (
                    "two validly signed records stand at one place: the key was copied, or an old state of the "
                    "board was restored"
                ),
                "visit the board; records before the fork keep their verdict; give the board a new key",
            ),
        },
    ),
    "chain.disowned": (
        "was the record built on what the board left behind when it took up its chain again?",
        {
            "untrusted": (
                "the board adopted the chain without this record",
                "use the branch that the board goes on with",
            ),
        },
    ),
    "chain.tail": (
        "does the file reach the later head that you know of?",
        {
            "undecided": (
                "the end is cut off: the device signed more than the file shows",
                "fetch the records after the last one (tally prove DEVICE --since FILE)",
            ),
            "untrusted": (
                "another record stands where the head that you know should: a fork",
                "see chain.fork",
            ),
        },
    ),
    "log.inclusion": (
        "is every record in the gateway's log?",
        {
            "failed": (
                "the path does not lead to the root of the checkpoint: another record, place or tree",
                "fetch the proof again; if it fails again, run tally-gateway fsck at the gateway",
            ),
            "undecided": ("the file says not where in the log", "fetch the proof again"),
        },
    ),
    "checkpoint.signature": (
        "did a gateway that the policy trusts sign the checkpoint of its log?",
        {
            "failed": (
                "the checkpoint was changed, or somebody signed in the gateway's name",
                "do not use this proof; compare with the checkpoint that the gateway publishes",
            ),
            "untrusted": (
                "the gateway is not in the policy",
                'tally policy trust gateway "$(tally-gateway identity)", if you trust it',
            ),
        },
    ),
    "ledger.inclusion": (
        "does the ledger hold the anchor at this position?",
        {
            "failed": (
                "the anchor is not where the file says, or another milestone confirmed it",
                "tally upgrade the proof from the ledger; if it fails again, do not use it",
            ),
            "pending": (
                "the checkpoint is not in a ledger yet, or the receipt has not come",
                "wait for the next milestone, then tally upgrade",
            ),
        },
    ),
    "ledger.milestone": (
        "did a ledger that the policy trusts sign the milestone?",
        {
            "failed": (
                "the milestone was changed, or somebody signed in the ledger's name",
                "do not use its times; compare with the ledger's own milestone",
            ),
            "untrusted": (
                "the ledger is not in the policy",
                'tally policy trust ledger "$(tally-ledger identity)", if you trust it',
            ),
            "pending": ("not anchored yet", "wait for the next milestone, then tally upgrade"),
        },
    ),
    "ledger.witness": (
        "have as many witnesses as the policy requires seen the ledger only grow up to here?",
        {
            "failed": (
                "the cosigned checkpoint is of another tree, or a witness's line does not verify",
                "the ledger may show two stories: keep the file, and ask the witnesses",
            ),
            "undecided": (
                "cosignatures are missing",
                "tally upgrade FILE --ledger URL fetches the cosigned checkpoint, when there is one",
            ),
            "pending": ("not anchored yet", "wait for the next milestone, then tally upgrade"),
        },
    ),
    "ledger.transaction": (
        "has the other ledger, to which a bridge anchors, taken the anchor's transaction?",
        {
            "failed": (
                "the transaction is not signed by its key, or it carries another anchor",
                "do not use the proof; ask the gateway for it again",
            ),
            "undecided": (
                "no transaction in the file, or the node that was asked does not know it or serves another chain",
                "ask another node with --rpc URL; tally-ledger bridge status tells where it stands",
            ),
            "untrusted": (
                "another account than the policy's has sent it, or on another chain",
                'tally policy trust bridge "$(tally-ledger bridge identity)", if you trust it',
            ),
            "pending": (
                "the other ledger has not made it as firm as the policy asks for",
                "verify again in a few minutes",
            ),
            "skipped": (
                "nobody has asked the other ledger, so there is no verdict",
                "tally verify --rpc URL, with a node of that ledger",
            ),
        },
    ),
    "device.status": (
        "was the device in good standing when the record was anchored?",
        {
            "failed": (
                "a statement is not in the ledger where the file says",
                "fetch the statements again: tally prove with --ledger",
            ),
            "undecided": (
                "a statement is missing, or stands in another ledger than the anchor",
                "fetch the statements again: tally prove with --ledger",
            ),
            "untrusted": (
                (
                    "it was suspended, stolen or retired before the anchor, or the ledger of the statement is "
                    "not in the policy"
                ),
                "tally device check tells its life; readings anchored before keep their verdict",
            ),
            "skipped": ("no statements in the file", "tally prove with --ledger adds them"),
        },
    ),
    "credential.status": (
        "do the issuer's status lists say that the credential is suspended or revoked?",
        {
            "undecided": (
                "a list at hand cannot be used, or says so later than the anchor without saying since when",
                "get the issuer's newest list, and the device's statements",
            ),
            "untrusted": (
                "suspended or revoked",
                "ask the issuer why; do not use records from then on",
            ),
            "skipped": ("the issuer's list is not at hand", "give it with --status-list FILE"),
        },
    ),
    "time.window": (
        "between which two moments, by the ledger's clock, was the record signed?",
        {
            "failed": (
                "the milestone before the record is later than the one after it",
                "the ledger contradicts itself: do not use its times",
            ),
            "undecided": (
                (
                    "the lower bound in the file does not hold: the chain back to its milestone is not whole, "
                    "or a bound is required"
                ),
                "fetch the proof again with --not-before",
            ),
            "untrusted": (
                "the milestone of the lower bound is of a ledger that is not in the policy",
                "see ledger.milestone",
            ),
            "skipped": ("no milestone before or after", "wait for the anchor, then tally upgrade"),
        },
    ),
    "board.kind": (
        "is the board of a kind that the policy accepts?",
        {
            "undecided": (
                "the credential names no kind",
                "ask the issuer for a credential with one, or take boards out of the policy",
            ),
            "untrusted": ("it is of another kind", "look at boards in the policy's [require]"),
        },
    ),
    "agent.digest": (
        "did the board report a program that the policy accepts? It says so of itself",
        {
            "undecided": (
                "no open in the file says which program ran",
                "prove a readings record: its open comes along",
            ),
            "untrusted": (
                "it reported another program",
                "update the board, or add the digest to agents in the policy's [require]",
            ),
        },
    ),
    "anchor.age": (
        "is the anchor young enough for the policy, now?",
        {
            "undecided": ("nobody said what time it is", "give the verifier a time"),
            "untrusted": (
                "it is older than the policy allows",
                "ask for a newer proof, or raise anchor_age in the policy's [require]",
            ),
            "pending": ("not anchored yet", "wait for the next milestone, then tally upgrade"),
        },
    ),
}
