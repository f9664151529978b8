// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/comm/communicator.hpp>
#include <dchag/comm/datatype.hpp>

#include "support/pmpi.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace comm_communicator {

using dchag::CommError;
using dchag::comm::Communicator;

static_assert(!std::is_copy_constructible_v<Communicator> && !std::is_copy_assignable_v<Communicator>);
static_assert(std::is_nothrow_move_constructible_v<Communicator> && std::is_nothrow_move_assignable_v<Communicator>);
static_assert(dchag::comm::Communicable<std::size_t> && dchag::comm::Communicable<std::int64_t> &&
              dchag::comm::Communicable<std::uint64_t> && !dchag::comm::Communicable<bool>);
static_assert(dchag::comm::Reducible<unsigned char> && !dchag::comm::Reducible<char>);

namespace {
struct World {
  World() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
  }
  int rank = 0;
  int size = 1;
};
} // namespace

TEST_CASE("a communicator has the ranks of the one it duplicates, and messages of its own") {
  World const world;
  Communicator const communicator;
  int relation = MPI_UNEQUAL;
  MPI_Comm_compare(communicator.native(), MPI_COMM_WORLD, &relation);
  CHECK(communicator.rank() == world.rank);
  CHECK(communicator.size() == world.size);
  CHECK((relation == MPI_CONGRUENT));
}

TEST_CASE("a communicator can be moved") {
  World const world;
  Communicator first;
  MPI_Comm const native = first.native();
  Communicator second = std::move(first);
  CHECK((second.native() == native));
  CHECK((first.native() == MPI_COMM_NULL)); // NOLINT: what moving leaves is part of the promise
  Communicator third = Communicator::self();
  third = std::move(second);
  CHECK((third.native() == native));
  CHECK(third.size() == world.size);
}

TEST_CASE("self is one rank on every rank") {
  Communicator const self = Communicator::self();
  CHECK(self.rank() == 0);
  CHECK(self.size() == 1);
}

TEST_CASE("split groups by color and orders by key") {
  World const world;
  Communicator const communicator;
  Communicator const parity = communicator.split(world.rank % 2, world.rank);
  Communicator const backwards = communicator.split(0, -world.rank);
  int first_of_parity = -1;
  MPI_Group world_group, parity_group;
  MPI_Comm_group(MPI_COMM_WORLD, &world_group);
  MPI_Comm_group(parity.native(), &parity_group);
  int const zero = 0;
  MPI_Group_translate_ranks(parity_group, 1, &zero, world_group, &first_of_parity);
  MPI_Group_free(&world_group);
  MPI_Group_free(&parity_group);
  CHECK(parity.size() == (world.size + 1 - world.rank % 2) / 2);
  CHECK(parity.rank() == world.rank / 2);
  CHECK(first_of_parity == world.rank % 2);
  CHECK(backwards.size() == world.size);
  CHECK(backwards.rank() == world.size - 1 - world.rank);
}

TEST_CASE("split with a negative color is an error on every rank, if only one has it") {
  Communicator const communicator;
  int const last = communicator.size() - 1;
  auto const sentence = dchag::concat("Communicator::split: color is -3 on rank ", last, ", expected none below 0");
  CHECK_THROWS_WITH_AS(communicator.split(communicator.rank() == last ? -3 : 2, 0), sentence.c_str(), CommError);
  CHECK_THROWS_WITH_AS(communicator.split(MPI_UNDEFINED, 0), doctest::Contains("expected none below 0"), CommError);
  int ranks = 0; // that are known to throw it
  try {
    communicator.split(communicator.rank() == last ? -3 : 2, 0);
  } catch (dchag::comm::ThrownTogether const& together) {
    ranks = together.ranks;
  }
  CHECK(ranks == communicator.size());
}

TEST_CASE("a rank that throws alone waits for no other to free its communicators") {
  Communicator const communicator;
  auto const parts_size = [](MPI_Comm part) { // an error once it is freed
    int size = 0;
    return MPI_Comm_size(part, &size) == MPI_SUCCESS ? size : 0;
  };
  MPI_Comm left = MPI_COMM_NULL;
  Communicator whole = communicator.split(0, communicator.rank());
  MPI_Comm const kept = whole.native();
  try {
    Communicator part = communicator.split(0, communicator.rank());
    Communicator const moved = std::move(part);
    left = moved.native();
    throw dchag::Error("alone");
  } catch (dchag::Error const&) {
    Communicator const taken = std::move(whole); // of a handler: freed at its end
    CHECK((taken.native() == kept));
  }
  CHECK(parts_size(left) == communicator.size()); // there still
  MPI_Comm_free(&left);
  CHECK((whole.native() == MPI_COMM_NULL)); // NOLINT: what moving leaves is part of the promise
}

TEST_CASE("what MPI reports becomes an error with its text") {
  CHECK_THROWS_WITH_AS(Communicator(MPI_COMM_NULL), "Communicator: parent is MPI_COMM_NULL, expected a communicator",
                       CommError);
  Communicator const communicator;
  int number = 0;
  int const code = MPI_Bcast(&number, 1, MPI_INT, communicator.size() + 5, communicator.native());
  std::string sentence;
  try {
    dchag::comm::detail::check(code, "MPI_Bcast");
  } catch (CommError const& error) {
    sentence = error.what();
  }
  CAPTURE(sentence);
  CHECK(sentence.starts_with("MPI_Bcast: "));
  CHECK(sentence.find("nvalid root") != std::string::npos); // Open MPI writes it small
  CHECK(sentence.find('\n') == std::string::npos);
  CHECK(sentence.find("error stack") == std::string::npos);
}

TEST_CASE("of MPI's text the kind of the error and the innermost cause are left, in one line") {
  using dchag::comm::detail::one_line;
  CHECK(one_line("MPI_ERR_ROOT: invalid root") == "MPI_ERR_ROOT: invalid root");
  CHECK(one_line("Invalid root, error stack:\n"
                 "internal_Bcast(107): MPI_Bcast(buffer=0x7ff, count=1, MPI_INT, 6, MPI_COMM_WORLD) failed\n"
                 "internal_Bcast(61).: Invalid root (value given was 6)") == "Invalid root (value given was 6)");
  CHECK(one_line("Invalid count, error stack:\r\n"
                 "internal_Send(120): MPI_Send(buf=0x7ff, count=-1, MPI_INT, 0, 0, MPI_COMM_WORLD) failed\n"
                 "internal_Send(61).: Negative count, value is -1\n\n") ==
        "Invalid count: Negative count, value is -1");
  CHECK(one_line("Other MPI error, error stack:\n"
                 "internal_Init_thread(43701)..: MPI_Init_thread(argc=0x7ff) failed\n"
                 "MPIDU_bc_table_create(445)...: ") == "Other MPI error: MPI_Init_thread(argc=0x7ff) failed");
  CHECK(one_line("Other MPI error\n  a place (61): of files  \n") == "Other MPI error: a place (61): of files");
  CHECK(one_line("") == "");
  CHECK(one_line("a(3") == "a(3");
}

TEST_CASE_TEMPLATE("an MPI type is as large as its C++ type", T, char, unsigned char, int, unsigned, long,
                   unsigned long, long long, unsigned long long, float, double) {
  int size = 0;
  MPI_Type_size(dchag::comm::datatype<T>(), &size);
  CHECK(static_cast<std::size_t>(size) == sizeof(T));
  // Taken for a type with another kind of bits, or by an MPI that takes it for one, it would compare the other way.
  if constexpr (dchag::comm::Reducible<T>) {
    namespace detail = dchag::comm::detail;
    using dchag::comm::Reduce;
    T const value = static_cast<T>(-3);
    T largest = T(2);
    T least = T(2);
    T sum = T(2);
    MPI_Reduce_local(&value, &largest, 1, dchag::comm::datatype<T>(), detail::operation<T>(Reduce::max));
    MPI_Reduce_local(&value, &least, 1, dchag::comm::datatype<T>(), detail::operation<T>(Reduce::min));
    MPI_Reduce_local(&value, &sum, 1, dchag::comm::datatype<T>(), detail::operation<T>(Reduce::sum));
    CHECK(largest == std::max(value, T(2)));
    CHECK(least == std::min(value, T(2)));
    CHECK(sum == static_cast<T>(-1));
  }
}

TEST_CASE("staging memory is kept and only grows") {
  Communicator const communicator;
  double* const large = communicator.staging<double>(100);
  CHECK(communicator.staging<float>(200) == static_cast<void*>(large));
  CHECK(communicator.staging<char>(1) == static_cast<void*>(large));
  double* const larger = communicator.staging<double>(101);
  std::memset(larger, 0, 101 * sizeof(double));
  CHECK(communicator.staging<double>(101) == larger);
}

TEST_CASE("the call count sees what is called within its scope") {
  World const world;
  Communicator const communicator;
  int number = world.rank;
  dchag::support::CommCount outer;
  MPI_Bcast(&number, 1, MPI_INT, 0, communicator.native());
  dchag::support::CommCount inner;
  MPI_Barrier(communicator.native());
  double in[] = {1, 2};
  double out[] = {0, 0};
  MPI_Allreduce(in, out, 2, MPI_DOUBLE, MPI_SUM, communicator.native());
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibcast(&number, 1, MPI_INT, 0, communicator.native(), &request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  std::size_t const own_bytes = world.rank == 0 ? sizeof(int) : 0;
  CHECK(outer.calls("MPI_Bcast") == 1);
  CHECK(outer.bytes_sent("MPI_Bcast") == own_bytes);
  CHECK(inner.calls("MPI_Bcast") == 0);
  CHECK(inner.calls("MPI_Barrier") == 1);
  CHECK(inner.calls("MPI_Ibcast") == 1);
  CHECK(inner.bytes_sent("MPI_Allreduce") == 16);
  CHECK(inner.total_calls() == 3);
  CHECK(inner.total_bytes_sent() == 16 + own_bytes);
  CHECK(outer.total_calls() == 4);
  inner.reset();
  CHECK(inner.total_calls() == 0);
}

} // namespace comm_communicator
