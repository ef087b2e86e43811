#include "FuzzMemory.h"

#include <sanitizer/allocator_interface.h>
#include <stdlib.h>

static _Thread_local long live, peak;

static void on_allocation(const volatile void *pointer, size_t bytes) {
    (void)pointer;
    live += (long)bytes;
    if (live > peak) peak = live;
}

static void on_release(const volatile void *pointer) {
    if (pointer) live -= (long)__sanitizer_get_allocated_size(pointer);
}

void kedge_fuzz_watch_memory(void) { __sanitizer_install_malloc_and_free_hooks(on_allocation, on_release); }

void kedge_fuzz_start_input(void) { live = peak = 0; }

size_t kedge_fuzz_peak_bytes(void) { return (size_t)peak; }

void kedge_fuzz_abort(void) { abort(); }

// Foundation loses 4 KiB whenever it reads an empty file (readBytesFromFile in FoundationEssentials, Swift 6.3).
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:readBytesFromFile\n"; }
