#ifndef KEDGE_MACHINE_H
#define KEDGE_MACHINE_H

// The number of threads OpenBLAS starts while it is loaded: its own function of this name reads OPENBLAS_NUM_THREADS.
int openblas_num_threads_env(void);

// Names the calling thread; the system takes 15 characters.
void kedge_name_thread(const char *name);

// The soft limit on processes and threads of the user; -1 for none.
long long kedge_thread_limit(void);

// Lets all threads allocate from the same arena: each further one reserves 64 MiB of address space.
void kedge_use_one_arena(void);

#endif
