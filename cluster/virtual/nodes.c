/* Shows that virtual nodes are apart: a line for each rank with its host, the ranks it shares memory with and how many
 * files of other nodes it sees in /dev/shm and TMPDIR, then what one message costs the network.
 *     mpicc -o /tmp/nodes cluster/virtual/nodes.c && cluster/virtual/run -- /tmp/nodes
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MESSAGE = 4 << 20 };

/* Bytes that this node has sent through its cable. */
static long long sent(void) {
    long long bytes = -1;
    char line[512];
    FILE *file = fopen("/proc/net/dev", "r");
    while (file && fgets(line, sizeof line, file))
        sscanf(line, " eth0: %*d %*d %*d %*d %*d %*d %*d %*d %lld", &bytes);
    if (file) fclose(file);
    return bytes;
}

/* Bytes that leave rank 0's node while it sends a message to the other rank. The answer waits until they have left. */
static long long cost(int rank, int other) {
    static char message[MESSAGE];
    long long before = sent();
    if (other == 0) return 0;
    if (rank == 0) {
        MPI_Send(message, MESSAGE, MPI_CHAR, other, 0, MPI_COMM_WORLD);
        MPI_Recv(message, 1, MPI_CHAR, other, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    } else if (rank == other) {
        MPI_Recv(message, MESSAGE, MPI_CHAR, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        MPI_Send(message, 1, MPI_CHAR, 0, 0, MPI_COMM_WORLD);
    }
    return sent() - before;
}

/* Leaves a file of this node's name in a folder, and counts after all have done so. */
static int files_in(const char *folder, const char *host) {
    char command[512];
    int count = 0;
    snprintf(command, sizeof command, "touch '%s/mark-%s'", folder, host);
    if (system(command) != 0) MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Barrier(MPI_COMM_WORLD);
    snprintf(command, sizeof command, "ls '%s' | grep -c '^mark-'", folder);
    FILE *output = popen(command, "r");
    if (!output || fscanf(output, "%d", &count) != 1) MPI_Abort(MPI_COMM_WORLD, 1);
    pclose(output);
    MPI_Barrier(MPI_COMM_WORLD);
    snprintf(command, sizeof command, "rm -f '%s/mark-%s'", folder, host);
    if (system(command) != 0) MPI_Abort(MPI_COMM_WORLD, 1);
    return count;
}

int main(int count, char **arguments) {
    int rank, ranks, shared_rank, shared_ranks;
    char host[256];
    MPI_Comm shared;
    MPI_Init(&count, &arguments);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    gethostname(host, sizeof host);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &shared);
    MPI_Comm_rank(shared, &shared_rank);
    MPI_Comm_size(shared, &shared_ranks);

    /* A window that all ranks of a node write and read. */
    int *cells, *first, disp;
    MPI_Aint size;
    MPI_Win window;
    MPI_Win_allocate_shared(shared_rank == 0 ? shared_ranks * sizeof(int) : 0, sizeof(int), MPI_INFO_NULL, shared,
                            &cells, &window);
    MPI_Win_shared_query(window, 0, &size, &disp, &first);
    MPI_Win_lock_all(0, window);
    first[shared_rank] = rank + 1;
    MPI_Win_sync(window);
    MPI_Barrier(shared);
    MPI_Win_sync(window);
    int sum = 0;
    for (int i = 0; i < shared_ranks; i++) sum += first[i];
    MPI_Win_unlock_all(window);

    int shm = files_in("/dev/shm", host);
    int temporary = files_in(getenv("TMPDIR"), host);
    for (int i = 0; i < ranks; i++) {
        if (i == rank)
            printf("rank %d host %s shared %d of %d window-sum %d nodes-in-shm %d nodes-in-tmpdir %d\n", rank, host,
                   shared_rank, shared_ranks, sum, shm, temporary);
        fflush(stdout);
        MPI_Barrier(MPI_COMM_WORLD);
    }

    /* To the last rank, on another node if there are several, and to the next of this node. */
    long long far = cost(rank, ranks - 1);
    MPI_Barrier(MPI_COMM_WORLD);
    long long near = cost(rank, shared_ranks > 1 ? 1 : 0);
    if (rank == 0)
        printf("message of %d bytes: to rank %d %s, to rank 1 %s\n", MESSAGE, ranks - 1,
               far >= MESSAGE ? "through the cable" : "not through the cable",
               near >= MESSAGE ? "through the cable" : "not through the cable");
    MPI_Win_free(&window);
    MPI_Finalize();
    return 0;
}
