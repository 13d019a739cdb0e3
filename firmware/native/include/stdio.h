/* <stdio.h>, as much of it as the headers of MicroPython ask for. */
#include <stddef.h>
typedef struct file FILE;
int printf(const char *format, ...);
int snprintf(char *to, size_t size, const char *format, ...);
