"""Who enrols boards: the owner, the issuer and the grant that the boards get. The keys stay in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tallystick.keys import PrivateKey
from tallystick.message import Grant
from tallystick_host import grants, issuer, terminal
from tallystick_host.enrolment import Enrolment
from tallystick_host.errors import UseError
from tallystick_host.grants import gateway_key
from tallystick_host.home import Home
from tallystick_host.issuer import Issuer
from tallystick_host.issuing import issue
from tallystick_host.words import shown_path

__all__ = ["Authority"]


@dataclass(frozen=True)
class Authority:
    """`grant` None: no gateway yet, the boards keep all that they sign."""

    home: Home
    owner: PrivateKey
    issuer: Issuer
    grant: Grant | None

    @classmethod
    def load(cls, home: Home, enrolment_path: Path, gateway: str | None) -> Self:
        """That of a home folder, for the gateway of an enrolment file, or for the one of the line `gateway`."""
        owner, who = home.owner(), issuer.load(home)
        for path in home.exposed():
            terminal.warning(f"others can read {shown_path(path)}")
            terminal.hint(f"chmod 600 {shown_path(path)}")
        grant = Enrolment.load(enrolment_path, or_new=True).grant()
        if gateway is not None:
            key = gateway_key(gateway)
            if grant is None:
                grant = grants.for_gateway(home, key, owner)
            elif grant.key != key.key:
                raise UseError(
                    f"{shown_path(enrolment_path)!r} is of the gateway {grant.origin}",
                    hint="tally grant --gateway LINE replaces the gateway for all its boards",
                )
        if grant is not None:
            # stops a file of another owner from giving our boards its gateway
            grant.signed.verify(owner.public)
        else:
            terminal.warning("no gateway is granted yet: the board will keep all it signs")
            terminal.hint("--gateway LINE; tally-gateway identity prints it")
        return cls(home, owner, who, grant)

    def credential(self, subject: str, expires: int | None, board: str | None = None) -> bytes:
        """A credential for a board (a did:key) of the kind `board`, with a place in the issuer's status lists."""
        return issue(self.home, self.issuer, subject, expires=expires, board=board).cwt
