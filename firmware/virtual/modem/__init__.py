"""A simulator of SIMCom modems on a pseudo-terminal: SIM7000, SIM7600 and A7670.

    python -m firmware.virtual.modem SIM7600 --port DIR/modem --broker 127.0.0.1:1883

It answers AT commands as the manuals say, each model in its own dialect, and its MQTT client really
talks to a broker. What it cannot show is radio: registration takes as long as it is told to take. A call (ATD*99#) gets
as far as PPP's link control protocol.

Rules
* It says that it is a simulator (`ATI`), and has an IMEI and ICCID of the ranges for tests.
* Bad answers are part of it. `moods.json` beside the port makes it slow, rude or dead; it is read
  before every command, so that a test can change it while the modem runs:
      {"delay_ms": 200, "pieces": 3, "chatter": ["RING"], "garbage": true,
       "hang_after": 12, "deaf": true, "unregistered": true, "echo": true, "pin": true,
       "no_sim": true, "brownouts": 1, "bare": true, "ccho": true, "position": [48.137, 11.575, 519.0]}
  `no_sim` takes the card out; with each one more of `brownouts` the modem starts anew by itself.
* A modem that hangs takes bytes and answers nothing until it is switched off and on by its power
  key: a FIFO beside the port, DIR/modem.power, takes "1" and "0" as the pin of the board has them.
"""
