// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/tokenizer.hpp>

#include "benchmarks/support/kept.hpp"
#include "benchmarks/support/measure.hpp"
#include "benchmarks/support/operations.hpp"
#include "benchmarks/support/sizes.hpp"

namespace dchag::bench {
namespace {

using Exec = Kokkos::DefaultExecutionSpace;

template <class T>
class TokenizerCase {
public:
  explicit TokenizerCase(Sizes const& sizes)
      : m_tokenizer(Exec(), "tokenizer", {sizes.channels, sizes.patch, sizes.width}, {0, sizes.channels}, 0),
        m_image{make_image<Exec, T>(sizes, sizes.channels)},
        m_tokens(allocate<T>(Exec(), "tokens", Extents<3>{sizes.channels, sizes.rows(), sizes.width})) {
    m_plan.update(Exec(), {}, sizes.channels, {0, sizes.channels});
    forward();
  }

  void forward() { m_tokenizer.forward(m_workspace, m_plan, m_image, m_tokens); }
  /// The tokens stand for their gradient.
  void backward() { m_tokenizer.backward(m_workspace, m_plan, m_image, m_tokens, no_gradient); }

private:
  Workspace<Exec> m_workspace;
  Tokenizer<Exec, T> m_tokenizer;
  TokenPlan<Exec> m_plan;
  Image<Tensor<Exec, T, 4>> m_image;
  Tensor<Exec, T, 3> m_tokens;
};

template <class T>
void add_tokenizer(char const* scalar) {
  for (auto const& sizes : all_sizes) {
    auto const N = static_cast<double>(sizes.rows());
    auto const C = static_cast<double>(sizes.channels);
    auto const s = static_cast<double>(sizes.pixels());
    auto const D = static_cast<double>(sizes.width);
    // The tokens themselves are all that a backward pass needs besides the image.
    std::size_t const held = sizes.channels * sizes.rows() * sizes.width * sizeof(T);
    auto const both = concat("tokenizer/", scalar, '/', sizes.name);
    auto const make = [=] { return new TokenizerCase<T>(sizes); };
    add(concat("tokenizer/forward/", scalar, '/', sizes.name), [=](benchmark::State& state) {
      auto& work = kept<TokenizerCase<T>>(both, make);
      measure<T>(state, sizes.label(), {.operations = tokenizer_forward(N, C, s, D), .bytes_held = held},
                 [&] { work.forward(); });
    });
    add(concat("tokenizer/backward/", scalar, '/', sizes.name), [=](benchmark::State& state) {
      auto& work = kept<TokenizerCase<T>>(both, make);
      measure<T>(state, sizes.label(), {.operations = tokenizer_backward(N, C, s, D), .bytes_held = held},
                 [&] { work.backward(); });
    });
  }
}

bool const registered = (add_tokenizer<float>("float"), add_tokenizer<double>("double"), true);

} // namespace
} // namespace dchag::bench
