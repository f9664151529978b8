// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/core/workspace.hpp>

#include <support/allocations.hpp>
#include <support/compare.hpp>
#include <support/spaces.hpp>

namespace core_workspace {

using namespace dchag;
using namespace dchag::test;

namespace {

/// A layer within a layer: takes different sizes in frames within frames.
template <class T, class Space>
void nested(Workspace<Space>& workspace, std::size_t n) {
  auto outer = workspace.frame();
  auto const a = outer.template take<T>(Extents<2>{n, 10});
  for (std::size_t i = 1; i < 4; ++i) {
    auto inner = workspace.frame();
    Kokkos::deep_copy(workspace.exec(), inner.template take<T>(Extents<1>{i * n * 100}), T(i));
  }
  Kokkos::deep_copy(workspace.exec(), a, T(1));
}

} // namespace

TEST_CASE_TEMPLATE("Workspace: what is taken at one time does not overlap", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Workspace<Space> workspace;
  auto outer = workspace.frame();
  auto const a = outer.template take<T>(Extents<2>{3, 5});
  Kokkos::deep_copy(a, T(1));
  {
    auto inner = workspace.frame();
    auto const b = inner.template take<T>(Extents<1>{10000});
    auto const c = inner.template take<T>(Extents<1>{7});
    Kokkos::deep_copy(b, T(2));
    Kokkos::deep_copy(c, T(3));
    CHECK(relative_error(b, std::vector<double>(10000, 2)) == 0);
  }
  auto const d = outer.template take<T>(Extents<1>{10000});
  Kokkos::deep_copy(d, T(4));
  CHECK(relative_error(a, std::vector<double>(15, 1)) == 0);
  CHECK(shape_text(extents_of(a)) == "(3, 5)");
}

TEST_CASE_TEMPLATE("Workspace: only the innermost frame is taken from", Case, DCHAG_TEST_CASES) {
  Workspace<typename Case::ExecutionSpace> workspace;
  auto outer = workspace.frame();
  {
    auto inner = workspace.frame();
    inner.template take<typename Case::T>(Extents<1>{3});
    CHECK_THROWS_WITH_AS(outer.template take<typename Case::T>(Extents<1>{3}),
                         "Workspace: frame 1 is taken from inside frame 2, expected the innermost one", Error);
  }
  outer.template take<typename Case::T>(Extents<1>{3});
}

TEST_CASE_TEMPLATE("Workspace: a frame gives back what it took", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Workspace<Space> workspace;
  auto outer = workspace.frame();
  outer.template take<T>(Extents<1>{1});
  auto const address_in_frame = [&] {
    auto inner = workspace.frame();
    return inner.template take<T>(Extents<1>{4}).data();
  };
  CHECK(address_in_frame() == address_in_frame());
}

TEST_CASE_TEMPLATE("Workspace: every tensor is aligned to 128 bytes, an empty one too", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Workspace<Space> workspace;
  auto frame = workspace.frame();
  for (std::size_t n : Extents<8>{0, 1, 3, 33, 1000, 0, 100000, 5}) {
    auto const tensor = frame.template take<T>(Extents<1>{n});
    CHECK(reinterpret_cast<std::uintptr_t>(tensor.data()) % 128 == 0);
    CHECK(tensor.extent(0) == n);
  }
}

TEST_CASE_TEMPLATE("Workspace: allocates nothing in steady state", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Workspace<Space> workspace;
  nested<T>(workspace, 50); // the first step grows
  nested<T>(workspace, 50); // the second makes one block of what it grew
  {
    AllocationCounter const counter;
    for (int step = 0; step < 5; ++step) nested<T>(workspace, 50);
    nested<T>(workspace, 20);
    CHECK(counter.number() == 0);
  }
  nested<T>(workspace, 80);
  nested<T>(workspace, 80);
  AllocationCounter const counter;
  nested<T>(workspace, 80);
  nested<T>(workspace, 50);
  CHECK(counter.number() == 0);
  workspace.exec().fence();
}

TEST_CASE_TEMPLATE("Workspace: knows the most that was taken at one time", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Workspace<Space> workspace;
  CHECK(workspace.peak_bytes() == 0);
  for (int step = 0; step < 2; ++step) {
    auto outer = workspace.frame();
    outer.template take<T>(Extents<1>{1}); // 128 bytes
    for (int i = 0; i < 3; ++i) {
      auto inner = workspace.frame();
      inner.template take<char>(Extents<1>{256});
    }
  }
  CHECK(workspace.peak_bytes() == 384);
}

TEST_CASE_TEMPLATE("Workspace: after growth holds one block of about the peak", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  AllocationCounter const counter;
  Workspace<Space> workspace;
  nested<T>(workspace, 50);
  nested<T>(workspace, 50);
  workspace.exec().fence();
  CHECK(counter.live() >= workspace.peak_bytes());
  CHECK(counter.live() < workspace.peak_bytes() + 1024);
  CHECK(counter.by_label().count("dchag::core::workspace") == 1);
  CHECK(counter.by_label().size() == 1);
}

} // namespace core_workspace
