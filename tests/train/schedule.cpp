// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/train/schedule.hpp>

#include <doctest/doctest.h>

namespace train_schedule {

using dchag::Error;
using dchag::WarmupCosine;
using doctest::Approx;

TEST_CASE("WarmupCosine: a line up, half a cosine down, then the minimum") {
  WarmupCosine const schedule{.peak = 1, .minimum = 0.2, .warmup_steps = 4, .total_steps = 12};
  CHECK(schedule.rate(0) == Approx(0.2));
  CHECK(schedule.rate(1) == Approx(0.4));
  CHECK(schedule.rate(3) == Approx(0.8));
  CHECK(schedule.rate(4) == 1);
  CHECK(schedule.rate(6) == Approx(0.2 + 0.8 * (1 + std::sqrt(0.5)) / 2));
  CHECK(schedule.rate(8) == Approx(0.6));
  CHECK(schedule.rate(11) > 0.2);
  CHECK(schedule.rate(12) == 0.2);
  CHECK(schedule.rate(1000000) == 0.2);
  for (std::size_t step = 4; step < 12; ++step) CHECK(schedule.rate(step + 1) < schedule.rate(step));
}

TEST_CASE("WarmupCosine: without warm-up the first step has the peak") {
  WarmupCosine const schedule{.peak = 3e-4, .total_steps = 10};
  CHECK(schedule.rate(0) == 3e-4);
  CHECK(schedule.rate(5) == Approx(1.5e-4));
  CHECK(schedule.rate(10) == 0);
}

TEST_CASE("WarmupCosine: warm-up may last the whole run") {
  WarmupCosine const schedule{.peak = 1, .minimum = 0.1, .warmup_steps = 4, .total_steps = 4};
  CHECK(schedule.rate(3) == Approx(0.8));
  CHECK(schedule.rate(4) == 0.1);
  CHECK(WarmupCosine{.peak = 1, .total_steps = 1}.rate(0) == 1);
}

TEST_CASE("WarmupCosine: says what does not fit") {
  CHECK_THROWS_WITH_AS(WarmupCosine{}.rate(0), "WarmupCosine: total_steps is 0, expected at least 1", Error);
  CHECK_THROWS_WITH_AS((WarmupCosine{.warmup_steps = 5, .total_steps = 4}.rate(0)),
                       "WarmupCosine: warmup_steps is 5, expected at most total_steps = 4", Error);
  CHECK_THROWS_WITH_AS((WarmupCosine{.peak = 1, .minimum = 2, .total_steps = 4}.validate()),
                       "WarmupCosine: minimum is 2 and peak is 1, expected 0 <= minimum <= peak", Error);
  CHECK_THROWS_AS((WarmupCosine{.peak = std::nan(""), .total_steps = 4}.validate()), Error);
  CHECK_THROWS_AS((WarmupCosine{.peak = 1, .minimum = std::nan(""), .total_steps = 4}.validate()), Error);
  CHECK_THROWS_AS((WarmupCosine{.peak = 1, .minimum = -1, .total_steps = 4}.validate()), Error);
}

} // namespace train_schedule
