// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/layers/linear.hpp>
#include <dchag/ops/attention.hpp>

namespace dchag::layers {

/// Multi-head self-attention over positions: one product for queries, keys and values, one for the output.
///
/// Shapes: x, y (B, L, width); parameters `<name>.qkv.*` (3 width, width), `<name>.out.*` (width, width).
/// Source: Vaswani et al. 2017; the (L, L) scores are never stored (see `ops::attention_forward`).
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class SelfAttention {
public:
  using value_type = T;

  struct Config {
    std::size_t width;
    std::size_t heads;
  };

  struct Context {
    Tensor<ExecutionSpace, T, 3> qkv;      // (B, L, 3 D)
    Tensor<ExecutionSpace, T, 3> mixed;    // (B, L, D), what the heads gathered
    Tensor<ExecutionSpace, T, 3> log_sums; // (B, h, L)
  };

  SelfAttention(ExecutionSpace const& exec, std::string const& name, Config const& config, std::uint64_t seed)
      : m_config(checked(name, config)),
        m_qkv(exec, name + ".qkv", {.inputs = config.width, .outputs = 3 * config.width}, seed),
        m_out(exec, name + ".out", {.inputs = config.width, .outputs = config.width}, seed) {}

  template <TensorView<3> X, TensorView<3> Y>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, X const& x, Y const& y) const {
    auto const& exec = workspace.exec();
    auto const [B, L, D] = extents_of(x);
    reserve(exec, context.qkv, "dchag::layers::attention_qkv", Extents<3>{B, L, 3 * D});
    reserve(exec, context.mixed, "dchag::layers::attention_mixed", Extents<3>{B, L, D});
    reserve(exec, context.log_sums, "dchag::layers::attention_log_sums", Extents<3>{B, m_config.heads, L});
    NoContext none;
    m_qkv.forward(workspace, none, x, context.qkv);
    ops::attention_forward(exec, m_config.heads, part(context.qkv, 0), part(context.qkv, 1), part(context.qkv, 2),
                           context.mixed, context.log_sums);
    m_out.forward(workspace, none, context.mixed, y);
  }

  template <TensorView<3> X, TensorView<3> DY, GradientView<3> DX>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, X const& x, DY const& d_y,
                DX const& d_x) const {
    auto const [B, L, D] = extents_of(x);
    auto frame = workspace.frame();
    auto const d_mixed = frame.template take<T, 3>({B, L, D});
    auto const d_qkv = frame.template take<T, 3>({B, L, 3 * D});
    auto const delta = frame.template take<T, 3>({B, m_config.heads, L});
    NoContext const none;
    m_out.backward(workspace, none, context.mixed, d_y, d_mixed);
    ops::attention_backward(workspace.exec(), m_config.heads, part(context.qkv, 0), part(context.qkv, 1),
                            part(context.qkv, 2), context.mixed, context.log_sums, d_mixed, delta, part(d_qkv, 0),
                            part(d_qkv, 1), part(d_qkv, 2));
    m_qkv.backward(workspace, none, x, d_qkv, d_x);
  }

  template <class F>
  void for_each_parameter(F const& f) {
    m_qkv.for_each_parameter(f);
    m_out.for_each_parameter(f);
  }

private:
  static Config checked(std::string const& name, Config const& config) {
    require(config.heads > 0 && config.width % config.heads == 0, "SelfAttention: '", name, "' has width ",
            config.width, ", expected a multiple of its heads ", config.heads);
    return config;
  }

  // queries, keys or values: columns [which D, (which + 1) D)
  auto part(Tensor<ExecutionSpace, T, 3> const& qkv, std::size_t which) const {
    std::size_t const D = m_config.width;
    return Kokkos::subview(qkv, Kokkos::ALL, Kokkos::ALL, std::pair(which * D, (which + 1) * D));
  }

  Config m_config;
  Linear<ExecutionSpace, T> m_qkv;
  Linear<ExecutionSpace, T> m_out;
};

} // namespace dchag::layers
