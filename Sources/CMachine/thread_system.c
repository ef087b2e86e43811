// Declarations that the C library keeps to itself unless it is asked for.
#define _GNU_SOURCE
#include "machine.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>

void kedge_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

long long kedge_thread_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NPROC, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return -1;
    return (long long)limit.rlim_cur;
}

void kedge_use_one_arena(void) { mallopt(M_ARENA_MAX, 1); }
