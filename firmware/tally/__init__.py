"""The agent of a board: it measures, signs, keeps and publishes records (docs/format.md).

A module that is needed once in a while does not stay: `once` loads it, and its code leaves the memory afterwards.
"""

import sys


def unload(*names):
    """Forget modules of the agent: their code leaves the memory."""
    package = sys.modules["tally"]
    for name in names:
        if sys.modules.pop("tally." + name, None) is not None:
            delattr(package, name)


def once(name, function, *arguments):
    """Call a function of a module, and forget the module."""
    try:
        return getattr(__import__("tally." + name, None, None, (function,)), function)(*arguments)
    finally:
        unload(name)
