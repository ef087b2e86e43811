#ifndef KEDGE_COPENMPI_SHIM_H
#define KEDGE_COPENMPI_SHIM_H
#include <mpi.h>

/* Open MPI's handles are macros around addresses of structures, which Swift does not import; it sees these functions. */
static inline MPI_Comm kedge_mpi_comm_world(void) { return MPI_COMM_WORLD; }
static inline MPI_Datatype kedge_mpi_byte(void) { return MPI_BYTE; }
static inline MPI_Datatype kedge_mpi_int32(void) { return MPI_INT32_T; }
static inline MPI_Info kedge_mpi_info_null(void) { return MPI_INFO_NULL; }
static inline MPI_Errhandler kedge_mpi_errors_return(void) { return MPI_ERRORS_RETURN; }
static inline void *kedge_mpi_in_place(void) { return MPI_IN_PLACE; }

/* Enumerators and integer macros, whose Swift types would differ between Open MPI releases. */
static inline int kedge_mpi_success(void) { return MPI_SUCCESS; }
static inline int kedge_mpi_thread_funneled(void) { return MPI_THREAD_FUNNELED; }
static inline int kedge_mpi_undefined(void) { return MPI_UNDEFINED; }
static inline int kedge_mpi_mode_nocheck(void) { return MPI_MODE_NOCHECK; }
static inline int kedge_mpi_comm_type_shared(void) { return MPI_COMM_TYPE_SHARED; }

/* The text of an error code; the result is valid until the next call on the same thread. */
static inline const char *kedge_mpi_error_string(int code) {
    static _Thread_local char text[MPI_MAX_ERROR_STRING + 1];
    int length = 0;
    if (MPI_Error_string(code, text, &length) != MPI_SUCCESS) { length = 0; }
    text[length] = '\0';
    return text;
}

#endif
