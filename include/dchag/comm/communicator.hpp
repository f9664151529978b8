// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/detail/check.hpp>
#include <dchag/core/tensor.hpp>

#include <exception>
#include <memory>
#include <utility>

namespace dchag::comm {

/// Beside its own type, what an error carries that every rank of a communicator throws: such a program can end in
/// order.
struct ThrownTogether {
  explicit ThrownTogether(int size) : ranks(size) {}
  virtual ~ThrownTogether() = default;
  int ranks; ///< how many threw it
};

namespace detail {
template <class ErrorType>
struct CollectiveError : ErrorType, ThrownTogether {
  CollectiveError(std::string const& sentence, int size) : ErrorType(sentence), ThrownTogether(size) {}
};
} // namespace detail

/// A group of ranks with messages of its own: a duplicate of the communicator it is made from, freed with this object.
/// An exception that ends the object leaves the duplicate to MPI: to free it takes all ranks, and the exception may be
/// of one alone. A failure in it becomes a `CommError` with MPI's text instead of the end of the program.
///
/// It also keeps the host memory through which device Views are staged, so it must go before Kokkos is finalized, and
/// serves one host thread.
class Communicator {
public:
  /// Collective over `parent`.
  /// Throws: CommError if MPI is not running or there is no such communicator.
  explicit Communicator(MPI_Comm parent = MPI_COMM_WORLD) {
    require_running();
    require<CommError>(parent != MPI_COMM_NULL, "Communicator: parent is MPI_COMM_NULL, expected a communicator");
    detail::check(MPI_Comm_dup(parent, &m_comm), "MPI_Comm_dup");
    own();
  }

  /// The calling rank alone. Not collective.
  static Communicator self() { return Communicator(MPI_COMM_SELF); }

  /// The ranks of the same color as a group of their own, in the order of key, then of rank.
  /// Collective: all ranks of this communicator, with a color that is not negative. One all-reduce of two ints before
  /// the splitting compares the colors.
  /// Throws: CommError on every rank if the color of any is negative, with the least.
  Communicator split(int color, int key) const {
    struct ColorOfRank {
      int color, rank;
    } least = {color, m_rank};
    if (m_size > 1)
      detail::check(MPI_Allreduce(MPI_IN_PLACE, &least, 1, MPI_2INT, MPI_MINLOC, m_comm), "MPI_Allreduce");
    if (least.color < 0)
      throw detail::CollectiveError<CommError>(
          concat("Communicator::split: color is ", least.color, " on rank ", least.rank, ", expected none below 0"),
          m_size);
    MPI_Comm part = MPI_COMM_NULL;
    detail::check(MPI_Comm_split(m_comm, color, key, &part), "MPI_Comm_split");
    return Communicator(part, Adopt());
  }

  /// The ranks that share this rank's node, in the order of rank.
  /// Collective: all ranks of this communicator.
  /// Throws: CommError.
  Communicator split_by_node() const {
    MPI_Comm part = MPI_COMM_NULL;
    detail::check(MPI_Comm_split_type(m_comm, MPI_COMM_TYPE_SHARED, m_rank, MPI_INFO_NULL, &part),
                  "MPI_Comm_split_type");
    return Communicator(part, Adopt());
  }

  Communicator(Communicator&& other) noexcept { swap(other); }
  Communicator& operator=(Communicator&& other) noexcept {
    Communicator taken(std::move(other));
    taken.swap(*this);
    return *this;
  }
  ~Communicator() {
    int finalized = 0;
    MPI_Finalized(&finalized);
    bool const by_exception = std::uncaught_exceptions() > m_exceptions;
    if (m_comm != MPI_COMM_NULL && finalized == 0 && !*m_abandoned && !by_exception) MPI_Comm_free(&m_comm);
  }

  int rank() const { return m_rank; }
  int size() const { return m_size; }
  MPI_Comm native() const { return m_comm; }

  /// Set when a collective that was begun is left unfinished (see `Pending`): MPI may still send for it, so the group
  /// is then never freed.
  std::shared_ptr<bool> const& abandoned() const { return m_abandoned; }

  /// Host memory for this many numbers, pinned where Kokkos knows such a space; it is kept, and only ever grows.
  template <class T>
  T* staging(std::size_t count) const {
    std::size_t const bytes = count * sizeof(T);
    if (m_staging.extent(0) < bytes) {
      m_staging = Staging(); // free first: old and new need not live together
      std::string const label = "dchag::comm::staging";
      m_staging = dchag::detail::allocated(label, static_cast<double>(bytes), [&] {
        return Staging(Kokkos::view_alloc(Kokkos::WithoutInitializing, label), bytes);
      });
    }
    return reinterpret_cast<T*>(m_staging.data());
  }

#ifdef KOKKOS_HAS_SHARED_HOST_PINNED_SPACE
  using StagingSpace = Kokkos::SharedHostPinnedSpace;
#else
  using StagingSpace = Kokkos::HostSpace;
#endif

private:
  using Staging = Kokkos::View<char*, StagingSpace>;
  struct Adopt {};
  Communicator(MPI_Comm comm, Adopt) : m_comm(comm) {
    own();
  }

  static void require_running() {
    int initialized = 0;
    int finalized = 0;
    MPI_Initialized(&initialized);
    MPI_Finalized(&finalized);
    require<CommError>(initialized != 0, "Communicator: MPI is not initialized, call MPI_Init or hold a Session first");
    require<CommError>(finalized == 0, "Communicator: MPI is already finalized");
  }

  void own() {
    detail::check(MPI_Comm_set_errhandler(m_comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    detail::check(MPI_Comm_rank(m_comm, &m_rank), "MPI_Comm_rank");
    detail::check(MPI_Comm_size(m_comm, &m_size), "MPI_Comm_size");
  }

  void swap(Communicator& other) noexcept {
    std::swap(m_comm, other.m_comm);
    std::swap(m_rank, other.m_rank);
    std::swap(m_size, other.m_size);
    std::swap(m_abandoned, other.m_abandoned);
    std::swap(m_staging, other.m_staging);
  }

  MPI_Comm m_comm = MPI_COMM_NULL;
  int m_rank = 0;
  int m_size = 0;
  std::shared_ptr<bool> m_abandoned = std::make_shared<bool>(false);
  mutable Staging m_staging;
  int m_exceptions = std::uncaught_exceptions(); // of where the object stands: moving leaves it
};

} // namespace dchag::comm
