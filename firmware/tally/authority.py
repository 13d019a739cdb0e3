"""Whom a broker's certificate must come from: the one CA whose certificate lies on this board.

Rules
* TLS always verifies: the chain up to that CA, the name that was connected to, and the dates. There is no setting that
  leaves any of it out.
* Loaded only where the broker is spoken to in TLS.
"""

from micropython import const

from tally.stream import Trouble

PATH = "ca.der"
MAX_BYTES = const(2048)


def context():
    """What a broker is verified with. Raises Trouble."""
    try:
        import tls  # in C; the module `ssl` that stands before it from 1.23 on verifies nothing unless told to
    except ImportError:
        import ssl as tls
    try:
        with open(PATH, "rb") as file:
            authority = file.read(MAX_BYTES)
        verifying = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        verifying.verify_mode = tls.CERT_REQUIRED
        verifying.load_verify_locations(authority)
    except OSError:
        raise Trouble("certificate", "no CA certificate: set ca <hex>") from None
    except ValueError as error:
        raise Trouble("certificate", "the CA certificate: %s" % words(error)) from None
    return verifying


def words(error):
    """mbedtls's own words, which stand between line feeds, as one line."""
    return str(error.args[0] if error.args else error).strip().replace("\n", ", ")
