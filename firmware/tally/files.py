"""A file that takes the place of another as one. Loaded for it, then forgotten."""

import os

from tally import hal


def replace(path, data):
    """Raises OSError, with the old file still there."""
    hal.flash_check()
    file = None
    try:
        file = open(path + "~", "wb")
        file.write(data)
        file.flush()
        file.close()
        os.rename(path + "~", path)
    except OSError as error:
        hal.flash_check(error, file)
        if file is not None:
            file.close()
        raise
