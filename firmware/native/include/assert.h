/* <assert.h>, as much of it as the headers of MicroPython ask for. */
#define assert(condition) ((void)0)
#define static_assert _Static_assert
