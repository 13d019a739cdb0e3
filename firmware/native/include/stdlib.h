/* <stdlib.h>, as much of it as the headers of MicroPython ask for. */
#include <stddef.h>
void abort(void);
