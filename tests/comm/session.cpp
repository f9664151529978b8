// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/comm/session.hpp>

#include "support/pmpi.hpp"

#include <doctest/doctest.h>

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
