// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/gemm.hpp>

#include "benchmarks/support/kept.hpp"
#include "benchmarks/support/measure.hpp"

namespace dchag::bench {
namespace {

using Exec = Kokkos::DefaultExecutionSpace;
using ops::Op;

struct Sizes {
  char const* name; // "small": what the dry run takes
  std::size_t m, n, k;
};
// Tokens of one channel at patch edges 4, 8 and 16, then the projections and the MLP of an encoder.
constexpr Sizes all_sizes[] = {{"small", 64, 48, 16},
                               {"2048x768x16", 2048, 768, 16},
                               {"2048x768x64", 2048, 768, 64},
                               {"2048x768x256", 2048, 768, 256},
                               {"4096x1024x1024", 4096, 1024, 1024},
                               {"1024x1024x4096", 1024, 1024, 4096}};

/// The factors as they are stored for this form of the product, and the result.
template <class T>
struct Factors {
  Factors(Sizes const& sizes, Op op_a, Op op_b)
      : a(made("a", op_a == Op::none, sizes.m, sizes.k)), b(made("b", op_b == Op::none, sizes.k, sizes.n)),
        c(made("c", true, sizes.m, sizes.n)) {}

  Tensor<Exec, T, 2> a, b, c;

private:
  static Tensor<Exec, T, 2> made(char const* label, bool as_it_is, std::size_t rows, std::size_t columns) {
    auto const matrix = allocate<T>(Exec(), label, as_it_is ? Extents<2>{rows, columns} : Extents<2>{columns, rows});
    Kokkos::deep_copy(matrix, T(1));
    return matrix;
  }
};

/// y = x W^T of a layer's forward pass, dW = dy^T x and dx = dy W of its backward pass.
template <class T>
void add_products(char const* scalar) {
  struct Form {
    char const* name;
    Op a, b;
  };
  for (Form const form :
       {Form{"NT", Op::none, Op::transpose}, Form{"TN", Op::transpose, Op::none}, Form{"NN", Op::none, Op::none}}) {
    for (auto const& sizes : all_sizes) {
      auto const name = concat("gemm/", scalar, '/', form.name, '/', sizes.name);
      auto const label = concat("M ", sizes.m, " N ", sizes.n, " K ", sizes.k);
      double const operations = 2.0 * static_cast<double>(sizes.m) * static_cast<double>(sizes.n * sizes.k);
      add(name, [=](benchmark::State& state) {
        auto const& factors = kept<Factors<T>>(name, [&] { return new Factors<T>(sizes, form.a, form.b); });
        measure<T>(state, label, {.operations = operations},
                   [&] { ops::gemm(Exec(), form.a, form.b, T(1), factors.a, factors.b, T(0), factors.c); });
      });
    }
  }
}

bool const registered = (add_products<float>("float"), add_products<double>("double"), true);

} // namespace
} // namespace dchag::bench
