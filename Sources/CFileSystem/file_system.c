#define _GNU_SOURCE
#include "CFileSystem.h"

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

// Stated here because <linux/openat2.h> is missing from the headers of older systems.
struct open_how { uint64_t flags, mode, resolve; };
#define RESOLVE_NO_MAGICLINKS 0x02
#define RESOLVE_NO_SYMLINKS 0x04
#define RESOLVE_BENEATH 0x08
#ifndef SYS_openat2
#define SYS_openat2 437
#endif

int kedge_open_beneath(int folder, const char *path, int flags, int rules) {
    struct open_how how = {.flags = (uint64_t)(unsigned)flags, .resolve = RESOLVE_NO_MAGICLINKS};
    if (rules & KEDGE_BENEATH) how.resolve |= RESOLVE_BENEATH;
    if (rules & KEDGE_NO_LINKS) how.resolve |= RESOLVE_NO_SYMLINKS;
    long descriptor;
    do {
        descriptor = syscall(SYS_openat2, folder, path, &how, sizeof how);
    } while (descriptor < 0 && errno == EINTR);
    return (int)descriptor;
}
