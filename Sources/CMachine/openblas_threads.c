#include "machine.h"

// OpenBLAS starts a thread for each core in its constructor, before main, and ends the process with SIGINT where the
// system refuses one. Kedge computes on its own threads and never uses them. OpenBLAS asks through its procedure linkage
// table, so the program's definition takes the place of the library's; a build that binds the name to itself keeps its
// threads, and Machine holds it to one afterwards.
int openblas_num_threads_env(void) { return 1; }
