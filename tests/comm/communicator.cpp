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

TEST_CASE("split with a negative color is an error on every rank") {
  Communicator const communicator;
  CHECK_THROWS_AS(communicator.split(-3, 0), CommError);
  CHECK_THROWS_WITH_AS(communicator.split(MPI_UNDEFINED, 0), doctest::Contains("expected none below 0"), CommError);
}

TEST_CASE("what MPI reports becomes an error with its text") {
  CHECK_THROWS_WITH_AS(Communicator(MPI_COMM_NULL), "Communicator: parent is MPI_COMM_NULL, expected a communicator",
                       CommError);
  Communicator const communicator;
  int number = 0;
  int const code = MPI_Bcast(&number, 1, MPI_INT, communicator.size() + 5, communicator.native());
  CHECK_THROWS_WITH_AS(dchag::comm::detail::check(code, "MPI_Bcast"), doctest::Contains("MPI_Bcast: MPI_ERR_ROOT"),
                       CommError);
}

TEST_CASE_TEMPLATE("an MPI type is as large as its C++ type", T, char, unsigned char, int, unsigned, std::int64_t,
                   std::uint64_t, std::size_t, long long, unsigned long long, float, double) {
  int size = 0;
  MPI_Type_size(dchag::comm::datatype<T>(), &size);
  CHECK(static_cast<std::size_t>(size) == sizeof(T));
  // Taken for a type with another kind of bits, one of these would compare the other way.
  if constexpr (dchag::comm::Reducible<T>) {
    T const value = static_cast<T>(-3);
    T largest = T(2);
    T least = T(2);
    MPI_Reduce_local(&value, &largest, 1, dchag::comm::datatype<T>(), MPI_MAX);
    MPI_Reduce_local(&value, &least, 1, dchag::comm::datatype<T>(), MPI_MIN);
    CHECK(largest == std::max(value, T(2)));
    CHECK(least == std::min(value, T(2)));
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
