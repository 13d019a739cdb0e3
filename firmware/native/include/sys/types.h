/* <sys/types.h>, as much of it as the headers of MicroPython ask for. */
typedef __INTPTR_TYPE__ ssize_t;
typedef __INTPTR_TYPE__ off_t;
