"""Start-up of a Tallystick board; tally/life.py has the steps. No update over the air brings another one.

Ctrl-C on the serial port ends the agent and gives the ordinary REPL.
"""

import gc
import sys
import time

import machine

# Loading leaves much behind, too: collected at once, the modules lie close together.
gc.threshold(1024)

try:
    from tally import life

    life.live()
except KeyboardInterrupt:
    from tally import lock

    if lock.locked():
        machine.reset()  # it came before boot.py had switched it off
    print("# stopped: this is the REPL")
except Exception as error:
    # A board in the field has nobody to restart it: what is signed is kept, the rest begins anew.
    sys.print_exception(error)
    time.sleep_ms(5000)
    machine.reset()
