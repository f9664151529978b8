// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/comm/agree.hpp>

#include "support/pmpi.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <memory>
#include <new>

namespace comm_agree {

namespace comm = dchag::comm;
using comm::Communicator;
using dchag::CommError;
using dchag::concat;
using dchag::Error;
using dchag::ShapeError;
using dchag::support::CommCount;

namespace {
/// What a call threw, for checks after all ranks have come through.
struct Thrown {
  std::string kind = "nothing";
  std::string sentence;
  int ranks = 0;
};

template <class F>
Thrown thrown_by(F const& f) {
  try {
    f();
    return {};
  } catch (Error const& error) {
    auto const* const together = dynamic_cast<comm::ThrownTogether const*>(&error);
    std::string const kind = dynamic_cast<ShapeError const*>(&error) != nullptr            ? "ShapeError"
                             : dynamic_cast<CommError const*>(&error) != nullptr           ? "CommError"
                             : dynamic_cast<dchag::DamagedError const*>(&error) != nullptr ? "DamagedError"
                             : dynamic_cast<dchag::MemoryError const*>(&error) != nullptr  ? "MemoryError"
                             : dynamic_cast<dchag::SystemError const*>(&error) != nullptr  ? "SystemError"
                                                                                           : "Error";
    return {kind, error.what(), together == nullptr ? 0 : together->ranks};
  }
}
} // namespace

TEST_CASE("collectively returns what f returns") {
  Communicator const communicator;
  CommCount const count;
  auto const number = comm::collectively(communicator, [&] { return 10 + communicator.rank(); });
  auto const movable = comm::collectively(communicator, [] { return std::make_unique<int>(3); });
  int calls = 0;
  comm::collectively(communicator, [&] { ++calls; });
  CHECK(number == 10 + communicator.rank());
  CHECK(*movable == 3);
  CHECK(calls == 1);
  CHECK(count.total_calls() == (communicator.size() > 1 ? 3 : 0));
  CHECK(count.total_bytes_sent() == (communicator.size() > 1 ? 3 * sizeof(int) : 0));
}

TEST_CASE("what one rank throws, all ranks throw") {
  Communicator const communicator;
  int const size = communicator.size();
  for (int failing = 0; failing < size; ++failing) {
    CAPTURE(failing);
    auto const run = [&](auto const& f) {
      return thrown_by([&] {
        comm::collectively(communicator, [&] {
          if (communicator.rank() == failing) f();
        });
      });
    };
    auto const shape = run([] { throw ShapeError("image: too small"); });
    auto const message = run([] { throw CommError("peer: gone"); });
    auto const plain = run([] { throw Error("file: missing"); });
    auto const foreign = run([] { throw std::out_of_range("index 7"); });
    auto const unknown = run([] { throw 7; });
    auto const memory = run([] { throw std::bad_alloc(); });
    auto const damaged = run([] { throw dchag::DamagedError("file: half"); });
    auto const system = run([] { throw dchag::SystemError("file: no right"); });
    // The rank that failed says it in its own words.
    std::string const prefix =
        communicator.rank() == failing ? std::string() : concat("rank ", failing, " of ", size, ": ");
    CHECK(shape.kind == "ShapeError");
    CHECK(shape.sentence == prefix + "image: too small");
    CHECK(shape.ranks == size);
    CHECK(message.kind == "CommError");
    CHECK(message.sentence == prefix + "peer: gone");
    CHECK(plain.kind == "Error");
    CHECK(plain.sentence == prefix + "file: missing");
    CHECK(foreign.kind == "Error");
    CHECK(foreign.sentence == prefix + "index 7");
    CHECK(memory.kind == "MemoryError");
    CHECK(memory.sentence == prefix + "out of memory");
    CHECK(memory.ranks == size);
    CHECK(unknown.kind == "Error");
    CHECK(unknown.sentence == prefix + "something was thrown that is not a std::exception");
    CHECK(damaged.kind == "DamagedError");
    CHECK(damaged.sentence == prefix + "file: half");
    CHECK(system.kind == "SystemError");
    CHECK(system.sentence == prefix + "file: no right");
  }
  auto const after = comm::all_reduce(communicator, 1, comm::Reduce::sum);
  CHECK(after == size);
}

TEST_CASE("what MPI refuses in the middle of it leaves at once") {
  Communicator const communicator;
  CommCount const count; // the others may wait in the call that failed
  auto const refused =
      thrown_by([&] { comm::collectively(communicator, [] { comm::detail::check(MPI_ERR_ROOT, "MPI_Bcast"); }); });
  CHECK(refused.kind == "CommError");
  CHECK(refused.ranks == 0);
  CHECK(refused.sentence.rfind("MPI_Bcast: ", 0) == 0);
  CHECK(count.total_calls() == 0);
}

TEST_CASE("what all ranks throw alike is not ascribed to one") {
  Communicator const communicator;
  auto const alike = thrown_by([&] { comm::collectively(communicator, [] { throw ShapeError("image: too small"); }); });
  CHECK(alike.kind == "ShapeError");
  CHECK(alike.sentence == "image: too small");
  CHECK(alike.ranks == communicator.size());
}

TEST_CASE("of different failures the lowest rank's is told") {
  Communicator const communicator;
  int const rank = communicator.rank();
  auto const different = thrown_by([&] {
    comm::collectively(communicator, [&] {
      if (rank > 0) throw ShapeError(concat("row ", rank));
    });
  });
  bool const fails = communicator.size() > 1;
  std::string const told = rank == 1 ? "row 1" : concat("rank 1 of ", communicator.size(), ": row 1");
  CHECK(different.kind == (fails ? "ShapeError" : "nothing"));
  CHECK(different.sentence == (fails ? told : ""));
}

TEST_CASE("require_same is quiet and brief when all agree") {
  Communicator const communicator;
  CommCount const count;
  comm::require_same(communicator, "Test", "width", 8);
  comm::require_same(communicator, "Test",
                     {{"width", std::size_t{8}}, {"rate", 0.1}, {"name", "tree"}, {"bias", true}});
  comm::require_same(communicator, "Test", "rate", std::numeric_limits<double>::quiet_NaN());
  comm::require_same(communicator, "Test", std::vector<comm::Setting>());
  CHECK(count.total_calls() == (communicator.size() > 1 ? 4 : 0));
  CHECK(count.total_bytes_sent() == (communicator.size() > 1 ? 4 * 16 : 0));
}

TEST_CASE("require_same names what differs, where and on which rank") {
  Communicator const communicator;
  int const rank = communicator.rank();
  int const last = communicator.size() - 1;
  bool const odd = rank == last;
  bool const differs = last > 0;
  auto const with = [&](auto const& value, auto const& other) {
    return thrown_by([&] { comm::require_same(communicator, "Tree::Tree", "width", odd ? other : value); });
  };
  auto const integer = with(8, 4);
  auto const real = with(0.3, 0.1 + 0.2);
  auto const text = with(std::string("fused"), std::string());
  auto const sentence = [&](std::string const& value, std::string const& other) {
    return differs ? concat("Tree::Tree: width is ", value, " on rank 0 but ", other, " on rank ", last) : "";
  };
  CHECK(integer.kind == (differs ? "CommError" : "nothing"));
  CHECK(integer.ranks == (differs ? communicator.size() : 0));
  CHECK(integer.sentence == sentence("8", "4"));
  CHECK(real.sentence == sentence("0.3", "0.30000000000000004"));
  CHECK(text.sentence == sentence("fused", ""));
}

TEST_CASE("a whole configuration is compared, and the first difference named") {
  Communicator const communicator;
  int const rank = communicator.rank();
  bool const differs = communicator.size() > 1;
  using Settings = std::vector<comm::Setting>;
  auto const compared = [&](Settings const& common, Settings const& odd) {
    return thrown_by([&] { comm::require_same(communicator, "Model", rank == 1 ? odd : common); }).sentence;
  };
  auto const value = compared({{"depth", 2}, {"width", 8}, {"heads", 4}}, {{"depth", 2}, {"width", 16}, {"heads", 2}});
  auto const name = compared({{"depth", 2}, {"width", 8}}, {{"depth", 2}, {"heads", 8}});
  auto const fewer = compared({{"depth", 2}, {"width", 8}}, {{"depth", 2}});
  auto const more = compared({{"depth", 2}}, {{"depth", 2}, {"width", 8}});
  CHECK(value == (differs ? "Model: width is 8 on rank 0 but 16 on rank 1" : ""));
  CHECK(name == (differs ? "Model: width is 8 on rank 0 but heads is 8 on rank 1" : ""));
  CHECK(fewer == (differs ? "Model: width is 8 on rank 0 but setting 1 is missing on rank 1" : ""));
  CHECK(more == (differs ? "Model: setting 1 is missing on rank 0 but width is 8 on rank 1" : ""));
}

TEST_CASE("the lowest rank that differs is named") {
  Communicator const communicator;
  int const rank = communicator.rank();
  auto const found = thrown_by([&] { comm::require_same(communicator, "Model", "rows", rank); });
  CHECK(found.sentence == (communicator.size() > 1 ? "Model: rows is 0 on rank 0 but 1 on rank 1" : ""));
}

TEST_CASE("what a stage is about is said of the rank that fails alone") {
  Communicator const communicator;
  int const rank = communicator.rank();
  int const size = communicator.size();
  CommCount const count;
  CHECK(comm::in_stage(communicator, "building", [] { return 3; }) == 3);
  comm::in_stage(communicator, "building", [] {});
  std::string const prefix = concat("rank ", rank, " of ", size, ": building: ");
  auto const alone = [&](auto const& f) { return thrown_by([&] { comm::in_stage(communicator, "building", f); }); };
  auto const memory = alone([] { throw std::bad_alloc(); });
  auto const lines = alone([] { throw std::runtime_error("no memory for 'x'\n\n \n"); }); // as Kokkos 3.4 ends some
  auto const unknown = alone([] { throw 7; });
  auto const inner = alone([&] { comm::in_stage(communicator, "loading", [] { throw Error("no file"); }); });
  CHECK(count.total_calls() == 0);
  CHECK(inner.sentence == concat("rank ", rank, " of ", size, ": loading: no file"));
  CHECK(memory.sentence == prefix + "out of memory");
  CHECK(memory.ranks == 0);
  CHECK(lines.sentence == prefix + "no memory for 'x'");
  CHECK(unknown.sentence == prefix + "something was thrown that is not a std::exception");
}

TEST_CASE("what all ranks throw together leaves a stage as it is, but that a lack of memory says which") {
  Communicator const communicator;
  int const rank = communicator.rank();
  int const size = communicator.size();
  auto const together = [&](auto const& f) {
    return thrown_by([&] {
      comm::in_stage(communicator, "building", [&] {
        comm::collectively(communicator, [&] {
          if (rank + 1 == size) f();
        });
      });
    });
  };
  auto const shape = together([] { throw ShapeError("image: too small"); });
  auto const memory = together([] { throw std::bad_alloc(); });
  std::string const prefix = rank + 1 == size ? "" : concat("rank ", size - 1, " of ", size, ": ");
  CHECK(shape.kind == "ShapeError");
  CHECK(shape.sentence == prefix + "image: too small");
  CHECK(shape.ranks == size);
  CHECK(memory.kind == "MemoryError");
  CHECK(memory.sentence == "building: " + prefix + "out of memory");
  CHECK(memory.ranks == size);
  auto const inner = [&](Communicator const& part, auto const& f) { // two stages within one
    return thrown_by([&] {
      comm::in_stage(communicator, "running",
                     [&] { comm::in_stage(communicator, "training", [&] { comm::in_stage(part, "building", f); }); });
    });
  };
  auto const throws = [&](Communicator const& part) {
    return [&] { comm::collectively(part, [] { throw std::bad_alloc(); }); };
  };
  auto const innermost = inner(communicator, throws(communicator));
  CHECK(innermost.kind == "MemoryError");
  CHECK(innermost.sentence == "building: out of memory");
  CHECK(innermost.ranks == size);
  if (size > 1) { // a part of them is not all
    auto const self = Communicator::self();
    CHECK(inner(self, throws(self)).sentence == concat("rank ", rank, " of ", size, ": building: out of memory"));
    auto const half = communicator.split(rank % 2, rank);
    auto const part = thrown_by([&] {
      comm::in_stage(communicator, "building", [&] { comm::collectively(half, [] { throw Error("half"); }); });
    });
    CHECK(part.ranks == 0);
    CHECK(part.sentence == concat("rank ", rank, " of ", size, ": building: half"));
  }
}

TEST_CASE("what one group of ranks throws together, all ranks throw") {
  Communicator const communicator;
  int const rank = communicator.rank();
  int const size = communicator.size();
  auto const group = communicator.split(rank % 2, rank);
  int const last = (size + 1) / 2 - 1; // of the ranks of even number
  comm::agree_between_groups(communicator, [&] { comm::require_same(group, "Model", "width", 8); });
  auto const differs = thrown_by([&] {
    comm::agree_between_groups(communicator, [&] {
      comm::require_same(group, "Model", "width", rank % 2 == 0 && group.rank() == last ? 4 : 8);
    });
  });
  bool const expected = size > 2; // ranks 0 and 2
  CHECK(differs.kind == (expected ? "CommError" : "nothing"));
  CHECK(differs.ranks == (expected ? size : 0));
  if (expected)
    CHECK(differs.sentence == concat(rank % 2 == 0 ? "" : concat("rank 0 of ", size, ": "),
                                     "Model: width is 8 on rank 0 but 4 on rank ", last));
  auto const complaint = thrown_by([&] { // of this rank's own input, before anything is sent
    comm::agree_between_groups(communicator, [&] {
      if (rank + 1 == size) throw ShapeError("image: too small");
    });
  });
  CHECK(complaint.kind == "ShapeError");
  CHECK(complaint.ranks == size);
}

TEST_CASE("what a rank throws in the middle of its group leaves at once") {
  Communicator const communicator;
  CommCount const count; // the others would wait
  auto const leaves = [&](auto const& f) { return thrown_by([&] { comm::agree_between_groups(communicator, f); }); };
  CHECK(leaves([] { throw CommError("peer: gone"); }).ranks == 0);
  CHECK(leaves([] { throw dchag::MemoryError("out of memory"); }).ranks == 0);
  CHECK_THROWS_AS(comm::agree_between_groups(communicator, [] { throw std::bad_alloc(); }), std::bad_alloc);
  CHECK(count.total_calls() == 0);
}

TEST_CASE("what all ranks see alike they throw together, without a word to each other") {
  Communicator const communicator;
  CommCount const count;
  comm::require_together<ShapeError>(communicator, true, "unseen");
  auto const alike = thrown_by([&] { comm::require_together<ShapeError>(communicator, false, "P = ", 3); });
  CHECK(alike.kind == "ShapeError");
  CHECK(alike.sentence == "P = 3");
  CHECK(alike.ranks == communicator.size());
  CHECK(count.total_calls() == 0);
}

} // namespace comm_agree
