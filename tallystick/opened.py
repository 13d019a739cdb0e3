"""`tallystick.open`: a proof file for a notebook, verified as it is opened.

    day = tallystick.open("cold-room-41.tally", policy="policy.toml")
    day.verdict.status                       # Status.VERIFIED
    pandas.DataFrame(day.readings())         # one row a reading

This is the one door of the library to a file: it reads the proof and the policy that the caller names, and nothing
else; it writes nothing, asks no network and no clock (docs/adr/0045). Values that are not VERIFIED are handed out only
to who asks for them by that name.
"""

from __future__ import annotations

import os
from pathlib import Path

from tallystick import embedded, limits, policy, proof, reading, verify
from tallystick.errors import FormatError, LimitError, PolicyError, UnverifiedError
from tallystick.policy import Policy
from tallystick.proof import Proof
from tallystick.verdict import Status, Verdict

__all__ = ["Opened", "open_file"]


class Opened:
    """A proof file, and what its verification said: `verdict`, and `proof` with its parts."""

    def __init__(self, proof: Proof, verdict: Verdict) -> None:
        self.proof = proof
        self.verdict = verdict

    def __repr__(self) -> str:
        first, last = self.verdict.first, self.verdict.last
        return f"<{self.verdict.status}: {self.verdict.readings} readings, seq {first}..{last}>"

    @property
    def status(self) -> Status:
        """The verdict in one word."""
        return self.verdict.status

    def readings(self, *, unverified: bool = False) -> list[dict[str, object]]:
        """One row a reading, ready for `pandas.DataFrame`.

        `time` is RFC 3339 in UTC, by the board's own clock (None before it was set), `seq` the record, `verdict` the
        verdict in one word; a column a channel, `temperature [Cel]`, with floats, None where there is no value.

        `UnverifiedError` unless the proof is VERIFIED, or `unverified=True` asks for the values all the same.
        """
        if self.status is not Status.VERIFIED and not unverified:
            worst = next(
                (c for c in self.verdict.checks if c.result not in ("ok", "skipped")), None
            )
            reason = f": {worst.code}: {worst.detail}" if worst else ""
            raise UnverifiedError(
                "reading.unverified",
                f"the proof is {self.status}{reason}",
                hint="readings(unverified=True) hands the values out all the same",
            )
        status = str(self.status)
        return [
            {"time": one.time, "seq": one.seq, "verdict": status}
            | {name: None if v is None else float(v) for name, v in one.values.items()}
            for one in reading.readings(self.proof)
        ]


def open_file(
    path: str | os.PathLike[str], policy: str | os.PathLike[str] | Policy | None = None
) -> Opened:
    """The proof file at `path`, or the proof inside the report there, verified under `policy`: a file, or a `Policy`.

    Without one the policy of `tally` counts: policy.toml in $TALLY_HOME, or in the user's configuration folder.
    Raises `OSError` if a file cannot be read, `PolicyError` for a policy, `FormatError` or `LimitError` for a proof
    that cannot be used. A proof that can be read is never an error, whatever its verdict.
    """
    trusted = policy if isinstance(policy, Policy) else _policy(policy)
    data = _read(Path(path), 2 * limits.PROOF_BYTES, "proof.too-long")
    if embedded.is_html(data):
        data = embedded.proof_in(data)
    parsed = proof.parse(data)
    return Opened(parsed, verify.verify(parsed, trusted))


def _policy(path: str | os.PathLike[str] | None) -> Policy:
    place = Path(path) if path is not None else _default()
    if path is None and not place.exists():
        raise PolicyError(
            "policy.missing",
            f"no policy at {str(place)!r}",
            hint='policy="policy.toml" names the file that says whom you trust; tally init makes one',
        )
    return policy.parse(_read(place, limits.POLICY_BYTES, "policy.too-long"))


def _default() -> Path:
    home = os.environ.get("TALLY_HOME")
    if home:
        return Path(home, "policy.toml")
    try:
        import platformdirs
    except ImportError as error:
        raise PolicyError(
            "policy.missing", "no policy is named", hint='policy="policy.toml" names one'
        ) from error
    return Path(platformdirs.user_config_dir("tallystick"), "policy.toml")


def _read(path: Path, limit: int, code: str) -> bytes:
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise LimitError(code, f"{str(path)!r} has more than {limit} bytes")
    if not data:
        raise FormatError("proof.magic", f"{str(path)!r} is empty")
    return data
