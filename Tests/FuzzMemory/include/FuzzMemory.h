#ifndef KEDGE_FUZZ_MEMORY_H
#define KEDGE_FUZZ_MEMORY_H

#include <stddef.h>

// Counts what the calling thread has on the heap, through the hooks of AddressSanitizer's allocator.

void kedge_fuzz_watch_memory(void);   // once, before anything else
void kedge_fuzz_start_input(void);    // from here on peaks count
size_t kedge_fuzz_peak_bytes(void);   // the most at a time since then, what was there before not counted

// Ends the process as a crash does, so that libFuzzer keeps the input.
_Noreturn void kedge_fuzz_abort(void);

#endif
