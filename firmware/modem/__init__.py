"""What a board needs that has a modem. A module that is needed once in a while does not stay, as in tally/."""

import sys


def once(name, function, *arguments):
    """Call a function of a module, and forget the module."""
    try:
        return getattr(__import__("modem." + name, None, None, (function,)), function)(*arguments)
    finally:
        if sys.modules.pop("modem." + name, None) is not None:
            delattr(sys.modules["modem"], name)
