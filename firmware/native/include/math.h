/* <math.h>, as much of it as the headers of MicroPython ask for. */
#define NAN __builtin_nanf("")
#define INFINITY __builtin_inff()
