// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "strike.hpp"

#include <mpi.h>

// The calls of MPI that the library makes. One that is to fail sends nothing and returns an error.
namespace {

/// Returns MPI_SUCCESS or the error with which it is to fail.
int refused(dchag::faults::Calls& calls) {
  return dchag::faults::strike(calls, "").error != 0 ? MPI_ERR_INTERN : MPI_SUCCESS;
}

} // namespace

extern "C" int MPI_Init_thread(int* argc, char*** argv, int required, int* provided) {
  static dchag::faults::Calls calls{"MPI_Init_thread"};
  if (int const code = refused(calls)) return code;
  int const code = PMPI_Init_thread(argc, argv, required, provided);
  dchag::faults::begin();
  return code;
}

// One that fails has ended all the same.
extern "C" int MPI_Finalize() {
  static dchag::faults::Calls calls{"MPI_Finalize"};
  int const code = refused(calls);
  int const own = PMPI_Finalize();
  return code != MPI_SUCCESS ? code : own;
}

// DCHAG_MPI_CALL(<name>, <parameters>, <arguments>)
#define DCHAG_MPI_CALL(name, parameters, arguments)                                                                    \
  extern "C" int MPI_##name parameters {                                                                               \
    static dchag::faults::Calls calls{"MPI_" #name};                                                                   \
    if (int const code = refused(calls)) return code;                                                                  \
    return PMPI_##name arguments;                                                                                      \
  }
DCHAG_MPI_CALL(Comm_dup, (MPI_Comm comm, MPI_Comm* copy), (comm, copy))
DCHAG_MPI_CALL(Comm_split, (MPI_Comm comm, int color, int key, MPI_Comm* part), (comm, color, key, part))
DCHAG_MPI_CALL(Comm_split_type, (MPI_Comm comm, int type, int key, MPI_Info info, MPI_Comm* part),
               (comm, type, key, info, part))
DCHAG_MPI_CALL(Comm_free, (MPI_Comm * comm), (comm))
DCHAG_MPI_CALL(Comm_rank, (MPI_Comm comm, int* rank), (comm, rank))
DCHAG_MPI_CALL(Comm_size, (MPI_Comm comm, int* size), (comm, size))
DCHAG_MPI_CALL(Comm_set_errhandler, (MPI_Comm comm, MPI_Errhandler handler), (comm, handler))
DCHAG_MPI_CALL(Type_contiguous, (int count, MPI_Datatype type, MPI_Datatype* made), (count, type, made))
DCHAG_MPI_CALL(Type_create_struct,
               (int count, int const* lengths, MPI_Aint const* offsets, MPI_Datatype const* types, MPI_Datatype* made),
               (count, lengths, offsets, types, made))
DCHAG_MPI_CALL(Type_commit, (MPI_Datatype * type), (type))
DCHAG_MPI_CALL(Type_free, (MPI_Datatype * type), (type))
DCHAG_MPI_CALL(Barrier, (MPI_Comm comm), (comm))
DCHAG_MPI_CALL(Bcast, (void* data, int count, MPI_Datatype type, int root, MPI_Comm comm),
               (data, count, type, root, comm))
DCHAG_MPI_CALL(Gather,
               (void const* own, int count, MPI_Datatype type, void* all, int counts, MPI_Datatype types, int root,
                MPI_Comm comm),
               (own, count, type, all, counts, types, root, comm))
DCHAG_MPI_CALL(Gatherv,
               (void const* own, int count, MPI_Datatype type, void* all, int const* counts, int const* offsets,
                MPI_Datatype types, int root, MPI_Comm comm),
               (own, count, type, all, counts, offsets, types, root, comm))
DCHAG_MPI_CALL(Allgather,
               (void const* own, int count, MPI_Datatype type, void* all, int counts, MPI_Datatype types,
                MPI_Comm comm),
               (own, count, type, all, counts, types, comm))
DCHAG_MPI_CALL(Allgatherv,
               (void const* own, int count, MPI_Datatype type, void* all, int const* counts, int const* offsets,
                MPI_Datatype types, MPI_Comm comm),
               (own, count, type, all, counts, offsets, types, comm))
DCHAG_MPI_CALL(Reduce, (void const* own, void* sum, int count, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm),
               (own, sum, count, type, op, root, comm))
DCHAG_MPI_CALL(Allreduce, (void const* own, void* sum, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
               (own, sum, count, type, op, comm))
DCHAG_MPI_CALL(Reduce_scatter,
               (void const* all, void* own, int const* counts, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
               (all, own, counts, type, op, comm))
DCHAG_MPI_CALL(Reduce_scatter_block,
               (void const* all, void* own, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
               (all, own, count, type, op, comm))
DCHAG_MPI_CALL(Iallgather,
               (void const* own, int count, MPI_Datatype type, void* all, int counts, MPI_Datatype types, MPI_Comm comm,
                MPI_Request* request),
               (own, count, type, all, counts, types, comm, request))
DCHAG_MPI_CALL(Iallreduce,
               (void const* own, void* sum, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                MPI_Request* request),
               (own, sum, count, type, op, comm, request))
DCHAG_MPI_CALL(Ireduce,
               (void const* own, void* sum, int count, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm,
                MPI_Request* request),
               (own, sum, count, type, op, root, comm, request))
DCHAG_MPI_CALL(Ireduce_scatter_block,
               (void const* all, void* own, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                MPI_Request* request),
               (all, own, count, type, op, comm, request))
DCHAG_MPI_CALL(Ibcast, (void* data, int count, MPI_Datatype type, int root, MPI_Comm comm, MPI_Request* request),
               (data, count, type, root, comm, request))
DCHAG_MPI_CALL(Ibarrier, (MPI_Comm comm, MPI_Request* request), (comm, request))
DCHAG_MPI_CALL(Test, (MPI_Request * request, int* done, MPI_Status* status), (request, done, status))
DCHAG_MPI_CALL(Testall, (int count, MPI_Request* requests, int* done, MPI_Status* statuses),
               (count, requests, done, statuses))
DCHAG_MPI_CALL(Wait, (MPI_Request * request, MPI_Status* status), (request, status))
DCHAG_MPI_CALL(Waitall, (int count, MPI_Request* requests, MPI_Status* statuses), (count, requests, statuses))
#undef DCHAG_MPI_CALL
