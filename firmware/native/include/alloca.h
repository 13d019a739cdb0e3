/* <alloca.h>, as much of it as the headers of MicroPython ask for. */
#define alloca __builtin_alloca
