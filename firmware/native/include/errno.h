/* <errno.h>, as much of it as the headers of MicroPython ask for. */

