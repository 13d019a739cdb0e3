"""Start-up of a Tallystick board; tally/life.py has the steps.

Ctrl-C on the serial port ends the agent and gives the ordinary REPL.
"""

import gc
import sys

# Loading leaves much behind, too: collected at once, the modules lie close together.
gc.threshold(1024)

from tally import hal, life  # noqa: E402 - after the line above

try:
    life.live()
except KeyboardInterrupt:
    from tally import lock

    if lock.locked():
        hal.reset()  # it came before boot.py had switched it off
    print("# stopped: this is the REPL")
except Exception as error:
    # A board in the field has nobody to restart it: what is signed is kept, the rest begins anew.
    sys.print_exception(error)
    hal.sleep_ms(5000)
    hal.reset()
