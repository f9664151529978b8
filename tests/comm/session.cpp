// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/comm/session.hpp>

#include "support/pmpi.hpp"

#include <doctest/doctest.h>

#include <map>

namespace comm_session {

namespace comm = dchag::comm;
using comm::Communicator;
using dchag::ShapeError;

namespace {
/// What is written to std::cerr in this scope.
class Captured {
public:
  Captured() : m_before(std::cerr.rdbuf(m_text.rdbuf())) {}
  Captured(Captured const&) = delete;
  Captured& operator=(Captured const&) = delete;
  ~Captured() { std::cerr.rdbuf(m_before); }
  std::string text() const { return m_text.str(); }

private:
  std::ostringstream m_text;
  std::streambuf* m_before;
};
} // namespace

TEST_CASE("a session leaves a running MPI running") {
  int argc = 0;
  char** argv = nullptr;
  { comm::Session const session(argc, argv); }
  int finalized = 1;
  MPI_Finalized(&finalized);
  CHECK(finalized == 0);
}

TEST_CASE("a launch is what the launcher's variables say, the innermost first") {
  using Variables = std::map<std::string, std::string>;
  auto const launch = [](Variables const& variables) {
    auto const found = comm::detail::launch([&](char const* name) {
      auto const variable = variables.find(name);
      return variable == variables.end() ? nullptr : variable->second.c_str();
    });
    return dchag::concat(found.process, " of ", found.processes, " ", found.variable);
  };
  CHECK(launch({}) == "0 of 1 ");
  CHECK(launch({{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "3"}}) == "3 of 4 OMPI_COMM_WORLD_SIZE");
  CHECK(launch({{"PMI_SIZE", "8"}, {"PMI_RANK", "2"}, {"MPI_LOCALNRANKS", "4"}}) == "2 of 8 PMI_SIZE");
  CHECK(launch({{"PMI_SIZE", "8"}, {"PMI_RANK", "2"}, {"MPI_LOCALNRANKS", "1"}}) == "2 of 8 PMI_SIZE");
  CHECK(launch({{"MPI_LOCALNRANKS", "4"}, {"MPI_LOCALRANKID", "1"}}) == "1 of 4 MPI_LOCALNRANKS");
  CHECK(launch({{"PALS_LOCAL_SIZE", "6"}, {"PALS_RANKID", "13"}}) == "13 of 6 PALS_LOCAL_SIZE"); // of a node, at least
  CHECK(launch({{"SLURM_STEP_NUM_TASKS", "16"}, {"SLURM_PROCID", "5"}}) == "5 of 16 SLURM_STEP_NUM_TASKS");
  // A batch script, or a shell in an allocation, is one process.
  CHECK(launch({{"SLURM_NTASKS", "16"}, {"SLURM_PROCID", "0"}}) == "0 of 1 ");
  CHECK(launch({{"SLURM_NTASKS", "16"}, {"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_PROCID", "0"}}) == "0 of 1 ");
  // Inside a step, or another launch, an mpiexec started one process.
  CHECK(launch({{"SLURM_STEP_NUM_TASKS", "16"}, {"SLURM_PROCID", "5"}, {"OMPI_COMM_WORLD_SIZE", "1"}}) == "0 of 1 ");
  CHECK(launch({{"OMPI_COMM_WORLD_SIZE", "4"}, {"PMI_SIZE", "1"}, {"PMI_RANK", "0"}}) == "0 of 1 ");
  // The daemons of an mpiexec are tasks of a step, and a share of one on this node is no job of one.
  CHECK(launch({{"SLURM_STEP_NUM_TASKS", "3"}, {"OMPI_COMM_WORLD_SIZE", "12"}, {"OMPI_COMM_WORLD_RANK", "7"}}) ==
        "7 of 12 OMPI_COMM_WORLD_SIZE");
  CHECK(launch({{"SLURM_STEP_NUM_TASKS", "3"}, {"SLURM_PROCID", "2"}, {"MPI_LOCALNRANKS", "1"}}) == "0 of 1 ");
  for (auto const* const text : {"", "many", "4x", "0", "-2", "99999999999", " 4"}) {
    CAPTURE(text);
    CHECK(launch({{"PMI_SIZE", text}}) == "0 of 1 ");
  }
  CHECK(launch({{"PMI_SIZE", "2"}, {"PMI_RANK", "one"}}) == "0 of 2 PMI_SIZE");
}

TEST_CASE("an MPI has a name and a version, in one line") {
  auto const name = comm::detail::library_name();
  CAPTURE(name);
  CHECK(name.find("MPI") != std::string::npos);
  CHECK(name.find_first_of("0123456789") != std::string::npos);
  CHECK(name.find_first_of("\n\t,") == std::string::npos);
}

TEST_CASE("run_main returns what f returns and sends nothing") {
  Communicator const communicator;
  dchag::support::CommCount const count;
  CHECK(comm::run_main(communicator, [] { return 0; }) == 0);
  CHECK(comm::run_main(communicator, [] { return 3; }) == 3);
  CHECK(count.total_calls() == 0);
}

TEST_CASE("an error of all ranks is printed once and returned as 1") {
  Communicator const communicator;
  int const last = communicator.size() - 1;
  std::string printed;
  int code = 0;
  {
    Captured const captured;
    code = comm::run_main(communicator, [&]() -> int {
      comm::collectively(communicator, [&] {
        if (communicator.rank() == last) throw ShapeError("image: too small");
      });
      return 0;
    });
    printed = captured.text();
  }
  std::string const prefix = last > 0 ? dchag::concat("rank ", last, " of ", last + 1, ": ") : "";
  CHECK(code == 1);
  CHECK(printed == (communicator.rank() == 0 ? "error: " + prefix + "image: too small\n" : ""));
}

TEST_CASE("a configuration that differs ends the program in order") {
  Communicator const communicator;
  std::string printed;
  int code = 0;
  {
    Captured const captured;
    code = comm::run_main(communicator, [&] {
      comm::require_same(communicator, "main", "seed", communicator.rank());
      return 0;
    });
    printed = captured.text();
  }
  bool const differs = communicator.size() > 1;
  CHECK(code == (differs ? 1 : 0));
  CHECK(printed == (differs && communicator.rank() == 0 ? "error: main: seed is 0 on rank 0 but 1 on rank 1\n" : ""));
}

} // namespace comm_session
