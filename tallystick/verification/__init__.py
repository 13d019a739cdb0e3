"""The steps of a verification, a module for each thing that is verified (docs/format.md, section 12).

`tallystick.verify` takes them in their order. A step is a function of a `state.Verification`: it adds its checks there,
and what later steps need to know.

| module | step |
|---|---|
| `device` | 2 whose record is it, 3 the keys of the device |
| `records` | 4 signatures, 5 what the readings mean |
| `links` | 6 the chain |
| `log` | 7 and 8, the gateway's log |
| `ledger` | 9 the ledger |
| `standing` | 10 the standing of the device, by statements and by status lists |
| `window` | 11 between which two moments |
| `asked`, `tail` | what a policy, or whoever knows a later head, asks for besides |
"""

from __future__ import annotations
