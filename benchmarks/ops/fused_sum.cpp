// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/fused_sum.hpp>

#include "benchmarks/support/kept.hpp"
#include "benchmarks/support/measure.hpp"
#include "benchmarks/support/operations.hpp"
#include "benchmarks/support/sizes.hpp"

namespace dchag::bench {
namespace {

using Exec = Kokkos::DefaultExecutionSpace;

/// How the sum is made: as the library chooses, or by the products that any space can do.
enum class Way { chosen, products };

template <class T>
class FusedSumCase {
public:
  explicit FusedSumCase(Sizes const& sizes)
      : m_patches{make_image<Exec, T>(sizes, sizes.channels), sizes.patch, {}, {}}, m_embedding(make_embedding(sizes)),
        m_gradients(make_embedding(sizes)), m_weights(allocate<T>(Exec(), "weights", Extents<1>{sizes.channels})),
        m_weight_gradients(allocate<T>(Exec(), "weight gradients", Extents<1>{sizes.channels})),
        m_beta(allocate<T>(Exec(), "beta", Extents<1>{1})),
        m_y(allocate<T>(Exec(), "y", Extents<2>{sizes.rows(), sizes.width})) {
    Kokkos::deep_copy(m_weights, T(1) / static_cast<T>(sizes.channels));
    Kokkos::deep_copy(m_weight_gradients, T(0));
    Kokkos::deep_copy(m_beta, T(0));
    forward(Way::chosen);
  }

  void forward(Way way) {
    auto const& members = m_embedding.channels;
    if (way == Way::chosen)
      ops::fused_sum_forward(m_workspace, m_patches, m_embedding, m_weights, m_beta, members, m_y);
    else
      ops::detail::sum_by_products_forward(m_workspace, m_patches, m_embedding, m_weights, m_beta, members, m_y);
  }
  /// The sum stands for its gradient.
  void backward(Way way) {
    auto const& members = m_embedding.channels;
    if (way == Way::chosen)
      ops::fused_sum_backward(m_workspace, m_patches, m_embedding, m_weights, members, m_y, m_gradients,
                              m_weight_gradients, m_beta, no_gradient);
    else
      ops::detail::sum_by_products_backward(m_workspace, m_patches, m_embedding, m_weights, members, m_y, m_gradients,
                                            m_weight_gradients, m_beta, no_gradient);
  }

private:
  static ops::PatchEmbedding<Exec, T> make_embedding(Sizes const& sizes) {
    std::size_t const C = sizes.channels;
    ops::PatchEmbedding<Exec, T> const embedding{
        allocate<T>(Exec(), "weight", Extents<3>{C, sizes.width, sizes.pixels()}),
        allocate<T>(Exec(), "bias", Extents<2>{C, sizes.width}),
        allocate<T>(Exec(), "embedding", Extents<2>{C, sizes.width}),
        allocate<std::size_t>(Exec(), "channels", Extents<1>{C})};
    Kokkos::deep_copy(embedding.weight, T(0.01));
    Kokkos::deep_copy(embedding.bias, T(0.01));
    Kokkos::deep_copy(embedding.embedding, T(0.01));
    auto const channels = Kokkos::create_mirror_view(embedding.channels);
    for (std::size_t c = 0; c < C; ++c) channels(c) = c;
    Kokkos::deep_copy(embedding.channels, channels);
    return embedding;
  }

  Workspace<Exec> m_workspace;
  ops::Patches<Tensor<Exec, T, 4>, typename Exec::memory_space> m_patches;
  ops::PatchEmbedding<Exec, T> m_embedding, m_gradients;
  Tensor<Exec, T, 1> m_weights, m_weight_gradients, m_beta;
  Tensor<Exec, T, 2> m_y;
};

template <class T>
void add_fused_sum(char const* scalar, Way way) {
  char const* const name = way == Way::chosen ? "fused_sum" : "fused_sum_by_products";
  for (auto const& sizes : all_sizes) {
    auto const N = static_cast<double>(sizes.rows());
    auto const C = static_cast<double>(sizes.channels);
    auto const s = static_cast<double>(sizes.pixels());
    auto const D = static_cast<double>(sizes.width);
    auto const both = concat("fused_sum/", scalar, '/', sizes.name);
    auto const make = [=] { return new FusedSumCase<T>(sizes); };
    // The products are those of the tokenizer; nothing is held for the backward pass.
    double const forward = tokenizer_forward(N, C, s, D);
    double const backward = tokenizer_backward(N, C, s, D);
    add(concat(name, "/forward/", scalar, '/', sizes.name), [=](benchmark::State& state) {
      auto& work = kept<FusedSumCase<T>>(both, make);
      measure<T>(state, sizes.label(), {.operations = forward}, [&] { work.forward(way); });
    });
    add(concat(name, "/backward/", scalar, '/', sizes.name), [=](benchmark::State& state) {
      auto& work = kept<FusedSumCase<T>>(both, make);
      measure<T>(state, sizes.label(), {.operations = backward}, [&] { work.backward(way); });
    });
    add(concat(name, "/step/", scalar, '/', sizes.name), [=](benchmark::State& state) {
      auto& work = kept<FusedSumCase<T>>(both, make);
      measure<T>(state, sizes.label(), {.operations = forward + backward}, [&] {
        work.forward(way);
        work.backward(way);
      });
    });
  }
}

bool const registered = [] {
  for (Way const way : runs_on_host<Exec> ? std::vector{Way::products, Way::chosen} : std::vector{Way::chosen}) {
    add_fused_sum<float>("float", way);
    add_fused_sum<double>("double", way);
  }
  return true;
}();

} // namespace
} // namespace dchag::bench
