#ifndef KEDGE_FILE_SYSTEM_H
#define KEDGE_FILE_SYSTEM_H

#define KEDGE_BENEATH 1     // no step of the path, nor a link in it, leads out of the folder
#define KEDGE_NO_LINKS 2    // no part of the path is a symbolic link

// `O_PATH`, which Swift does not import: a descriptor for facts and for opening what lies below, not for reading.
#define KEDGE_O_PATH 010000000

// openat2 (Linux 5.6), which has no wrapper in the C library: opens `path` below the open folder as `open` does with
// `flags`, under the given rules. A descriptor, or -1 and errno: EXDEV for a path that leads out, ELOOP for a link where
// none is allowed, EAGAIN for a tree that changed meanwhile, ENOSYS or EPERM where the call does not exist or is barred.
int kedge_open_beneath(int folder, const char *path, int flags, int rules);

#endif
