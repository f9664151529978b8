// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
// What every op owes to whoever profiles a step: its kernels carry this library's name and run on the instance that was
// given, and it allocates nothing.
#include <dchag/ops/absorbed_pooling.hpp>
#include <dchag/ops/attention.hpp>
#include <dchag/ops/attention_pooling.hpp>
#include <dchag/ops/detail/pooling_batched.hpp>
#include <dchag/ops/fused_pooling.hpp>
#include <dchag/ops/fused_sum.hpp>
#include <dchag/ops/gelu.hpp>
#include <dchag/ops/layer_norm.hpp>
#include <dchag/ops/linear.hpp>
#include <dchag/ops/losses.hpp>
#include <dchag/ops/patches.hpp>
#include <dchag/ops/rows.hpp>
#include <dchag/ops/softmax.hpp>

#include <optional>
#include <set>
#include <support/arrays.hpp>
#include <support/spaces.hpp>

namespace contracts_ops_labels {

using namespace dchag;
using namespace dchag::test;

namespace {

/// Notes the kernels and allocations that Kokkos reports while it lives.
class Recorder {
public:
  Recorder() : m_before(Kokkos::Tools::Experimental::get_callbacks()) {
    s_kernels.clear();
    s_allocations.clear();
    Kokkos::Tools::Experimental::set_begin_parallel_for_callback(&on_kernel);
    Kokkos::Tools::Experimental::set_begin_parallel_reduce_callback(&on_kernel);
    Kokkos::Tools::Experimental::set_allocate_data_callback(&on_allocate);
  }
  Recorder(Recorder const&) = delete;
  Recorder& operator=(Recorder const&) = delete;
  ~Recorder() { Kokkos::Tools::Experimental::set_callbacks(m_before); }

  /// Each label with the device number of the instance it ran on.
  static std::set<std::pair<std::string, std::uint32_t>> const& kernels() { return s_kernels; }
  static std::vector<std::string> const& allocations() { return s_allocations; }

private:
  static void on_kernel(char const* label, std::uint32_t const device, std::uint64_t*) {
    s_kernels.emplace(label, device);
  }
  static void on_allocate(Kokkos::Tools::SpaceHandle const, char const* label, void const* const, std::uint64_t const) {
    s_allocations.emplace_back(label);
  }

  inline static std::set<std::pair<std::string, std::uint32_t>> s_kernels;
  inline static std::vector<std::string> s_allocations;

  Kokkos::Tools::Experimental::EventSet m_before;
};

/// An instance that is not the default one where Kokkos can make one.
template <class Space>
Space some_instance() {
#if KOKKOS_VERSION >= 40000
  return Kokkos::Experimental::partition_space(Space(), 1, 1)[1];
#else
  return Space();
#endif
}

/// Calls all ops; recording begins when their arguments are there.
template <class Space, class T>
void call_all_ops(Space const& exec, std::optional<Recorder>& recorder) {
  std::size_t const B = 2, L = 6, heads = 2, D = 4, N = B * L, M = 3, p = 2;
  auto const x = random_tensor<T>(exec, 1, "x", {N, D});
  auto const y = random_tensor<T>(exec, 1, "y", {N, D});
  auto const z = random_tensor<T>(exec, 1, "z", {N, D});
  auto const square = random_tensor<T>(exec, 1, "square", {D, D});
  auto const vector = random_tensor<T>(exec, 1, "vector", {D});
  auto const mean = random_tensor<T>(exec, 1, "mean", {N});
  auto const weight = filled_tensor<T>(exec, {N}, 1);
  auto const sequence = random_tensor<T>(exec, 1, "sequence", {B, L, D});
  auto const sums = random_tensor<T>(exec, 1, "sums", {B, heads, L});
  auto const delta = random_tensor<T>(exec, 1, "delta", {B, heads, L});
  auto const tokens = random_tensor<T>(exec, 1, "tokens", {M, N, D});
  auto const weights = random_tensor<T>(exec, 1, "weights", {N, heads, M});
  auto const image = random_tensor<T>(exec, 1, "image", {B, M, 2 * p, 3 * p});
  auto const pixels = random_tensor<T>(exec, 1, "pixels", {M, N, p * p});
  auto const prediction = random_tensor<T>(exec, 1, "prediction", {N, M * p * p});
  auto const per_head = random_tensor<T>(exec, 1, "per_head", {N, heads});
  auto const index = index_tensor(exec, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 99});
  auto const rows = index_tensor(exec, {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3});
  ops::Patches<Tensor<Space, T, 4>, typename Space::memory_space> const patches{image, p, {}, {}};
  ops::PatchEmbedding<Space, T> const embedding{
      random_tensor<T>(exec, 1, "weight", {M, D, p * p}), random_tensor<T>(exec, 1, "bias", {M, D}),
      random_tensor<T>(exec, 1, "embedding", {M, D}), index_tensor(exec, {2, 0, 1})};
  auto const channel_weights = random_tensor<T>(exec, 1, "channel_weights", {M});
  auto const beta = random_tensor<T>(exec, 1, "beta", {1});
  Workspace<Space> workspace(exec);
  auto const fused_sum = [&] {
    ops::fused_sum_forward(workspace, patches, embedding, channel_weights, beta, embedding.channels, y);
    ops::fused_sum_backward(workspace, patches, embedding, channel_weights, embedding.channels, y, embedding,
                            channel_weights, beta, patches);
  };
  fused_sum(); // what the workspace needs
  { auto const frame = workspace.frame(); }

  ops::PoolingWeights<Space, T> const pooling{
      {random_tensor<T>(exec, 1, "weight", {M, D, p * p}), random_tensor<T>(exec, 1, "bias", {M, D}),
       random_tensor<T>(exec, 1, "embedding", {M, D}), index_tensor(exec, {0, 1, 2})},
      random_tensor<T>(exec, 1, "query", {heads, D}),
      square};
  ops::Pooled<Space, T> const pooled{z, filled_tensor<T>(exec, {N, heads}, 0), filled_tensor<T>(exec, {N, heads}, 1)};
  auto const pool = [&] {
    for (auto const values : {ops::Values::tokens, ops::Values::pixels}) {
      ops::fused_pooling_forward(workspace, {values, 0}, patches, pooling, pooled);
      ops::fused_pooling_backward(workspace, {values, 0}, patches, pooling, pooled, x, per_head, pooling, patches);
      ops::detail::batched_pooling_forward(workspace, {values, 0}, patches, pooling, pooled);
      ops::detail::batched_pooling_backward(workspace, {values, 0}, patches, pooling, pooled, x, per_head, pooling,
                                            patches);
    }
    if constexpr (std::is_same_v<T, float>) {
      ops::PoolingChoice const choice{ops::Values::tokens, 0};
      ops::detail::batched_pooling_forward<bfloat16>(workspace, choice, patches, pooling, pooled);
      ops::detail::batched_pooling_backward<bfloat16>(workspace, choice, patches, pooling, pooled, x, per_head, pooling,
                                                      no_gradient);
    }
    ops::absorbed_pooling_forward(workspace, tokens, pooling.query, square, pooled);
    ops::absorbed_pooling_backward(workspace, tokens, pooling.query, square, pooled, x, per_head, pooling.query, square,
                                   0, M, tokens);
  };
  pool(); // the workspace grows in the first call
  pool(); // and makes of its blocks one

  recorder.emplace();
  pool();
  ops::linear_forward(exec, x, square, y);
  ops::add_bias(exec, vector, y);
  ops::add_column_sums(exec, y, vector);
  ops::linear_backward(exec, x, square, y, square, x);
  ops::detail::gemm_kernel(exec, ops::detail::Product<T>{ops::Op::none,
                                                         ops::Op::none,
                                                         1,
                                                         D,
                                                         D,
                                                         D,
                                                         T(1),
                                                         T(0),
                                                         {x.data(), D, 0},
                                                         {y.data(), D, 0},
                                                         {square.data(), D, 0}});
  ops::layer_norm_forward(exec, x, vector, vector, T(1), y, mean, mean);
  ops::layer_norm_backward(exec, x, vector, mean, mean, y, vector, vector, x);
  ops::softmax_forward(exec, x, y);
  ops::softmax_backward(exec, y, x, x);
  ops::gelu_forward(exec, x, y);
  ops::gelu_backward(exec, x, y, y);
  auto const as_sequence = [&](auto const& view) { return reshape<3>(view, {B, L, D}); };
  ops::attention_forward(exec, heads, sequence, sequence, sequence, as_sequence(x), sums);
  ops::attention_backward(exec, heads, sequence, sequence, sequence, sequence, sums, sequence, delta, as_sequence(x),
                          as_sequence(y), as_sequence(z));
  ops::attention_pooling_forward(exec, heads, vector, tokens, tokens, weights, x);
  ops::attention_pooling_backward(exec, heads, vector, tokens, tokens, weights, x, z, per_head, tokens, tokens, y);
  ops::gather_patches(exec, patches, pixels);
  ops::scatter_patches(exec, pixels, patches);
  fused_sum();
  ops::patch_mse(exec, patches, prediction, weight, prediction);
  ops::add(exec, x, y, y);
  ops::add_embedding(exec, x, square, rows, y);
  ops::add_embedding_backward(exec, y, rows, square);
  ops::take_rows(exec, x, index, vector, y);
  ops::take_rows_backward(exec, y, index, vector, x);
  exec.fence();
}

} // namespace

TEST_CASE_TEMPLATE("ops: kernels are named dchag::ops:: and run on the given instance, nothing is allocated", Case,
                   DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  auto const exec = some_instance<Space>();
  std::optional<Recorder> recorder;
  call_all_ops<Space, typename Case::T>(exec, recorder);
  auto const kernels = Recorder::kernels();
  auto const allocations = Recorder::allocations();
  recorder.reset();

  auto const given = Kokkos::Tools::Experimental::device_id(exec);
  std::set<std::string> labels;
  for (auto const& kernel : kernels) {
    std::string const label = kernel.first;
    CAPTURE(label);
    CHECK(label.rfind("dchag::ops::", 0) == 0);
    CHECK(kernel.second == given);
    labels.insert(label);
  }
  CHECK(labels.size() >= 20);
  for (std::string const& label : allocations) {
    CAPTURE(label);
    CHECK(label.rfind("Kokkos::", 0) == 0); // Kokkos keeps scratch of its own for reductions
  }
}

} // namespace contracts_ops_labels
