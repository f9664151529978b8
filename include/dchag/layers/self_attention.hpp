// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/layers/linear.hpp>
#include <dchag/ops/attention.hpp>

namespace dchag::layers {

/// Multi-head self-attention over positions: one product for queries, keys and values, one for the output. With `own`
/// the share of some of the heads in it, without the output's bias: the sum over the ranks that have the others is y.
///
/// Shapes: x, y (B, L, width); parameters `<name>.qkv.*` (3, width, width), `<name>.out.*` (width, width).
/// Source: Vaswani et al. 2017; the (L, L) scores are never stored (see `ops::attention_forward`).
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class SelfAttention {
public:
  using value_type = T;

  struct Config {
    std::size_t width;
    std::size_t heads;
    Range own = {}; ///< heads of this rank; if empty, all
  };

  struct Context {
    Tensor<ExecutionSpace, T, 3> qkv;      // (B, L, 3 D), D the features of the heads that are computed here
    Tensor<ExecutionSpace, T, 3> mixed;    // (B, L, D), what the heads gathered
    Tensor<ExecutionSpace, T, 3> log_sums; // (B, h, L)
  };

  SelfAttention(ExecutionSpace const& exec, std::string const& name, Config const& config, std::uint64_t seed)
      : m_heads(config.own.size() > 0 ? config.own.size() : config.heads),
        m_width(checked(name, config).width / config.heads * m_heads),
        m_qkv(exec, name + ".qkv",
              {.inputs = config.width, .outputs = 3 * config.width, .cut = cut(config, Cut::Axis::outputs, 3)}, seed),
        m_out(exec, name + ".out",
              {.inputs = config.width,
               .outputs = config.width,
               .bias = config.own.size() == 0,
               .cut = cut(config, Cut::Axis::inputs, 1)},
              seed) {}

  template <TensorView<3> X, TensorView<3> Y>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, X const& x, Y const& y) const {
    auto const& exec = workspace.exec();
    std::size_t const B = x.extent(0);
    std::size_t const L = x.extent(1);
    std::size_t const D = m_width;
    reserve(exec, context.qkv, "dchag::layers::attention_qkv", Extents<3>{B, L, 3 * D});
    reserve(exec, context.mixed, "dchag::layers::attention_mixed", Extents<3>{B, L, D});
    reserve(exec, context.log_sums, "dchag::layers::attention_log_sums", Extents<3>{B, m_heads, L});
    NoContext none;
    m_qkv.forward(workspace, none, x, context.qkv);
    ops::attention_forward(exec, m_heads, part(context.qkv, 0), part(context.qkv, 1), part(context.qkv, 2),
                           context.mixed, context.log_sums);
    m_out.forward(workspace, none, context.mixed, y);
  }

  template <TensorView<3> X, TensorView<3> DY, GradientView<3> DX>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, X const& x, DY const& d_y,
                DX const& d_x) const {
    std::size_t const B = x.extent(0);
    std::size_t const L = x.extent(1);
    std::size_t const D = m_width;
    auto frame = workspace.frame();
    auto const d_mixed = frame.template take<T, 3>({B, L, D});
    auto const d_qkv = frame.template take<T, 3>({B, L, 3 * D});
    auto const delta = frame.template take<T, 3>({B, m_heads, L});
    NoContext const none;
    m_out.backward(workspace, none, context.mixed, d_y, d_mixed);
    ops::attention_backward(workspace.exec(), m_heads, part(context.qkv, 0), part(context.qkv, 1), part(context.qkv, 2),
                            context.mixed, context.log_sums, d_mixed, delta, part(d_qkv, 0), part(d_qkv, 1),
                            part(d_qkv, 2));
    m_qkv.backward(workspace, none, x, d_qkv, d_x);
  }

  template <class F>
  void for_each_parameter(F const& f) {
    m_qkv.for_each_parameter(f);
    m_out.for_each_parameter(f);
  }

private:
  static Config checked(std::string const& name, Config const& config) {
    require(config.heads > 0 && config.width > 0 && config.width % config.heads == 0, "SelfAttention: '", name,
            "' has width ", config.width, ", expected a multiple of its heads ", config.heads);
    require(config.own.end <= config.heads, "SelfAttention: '", name, "' computes heads [", config.own.begin, ", ",
            config.own.end, "), expected a range in ", config.heads);
    return config;
  }

  static Cut cut(Config const& config, Cut::Axis axis, std::size_t blocks) {
    std::size_t const d = config.width / config.heads;
    if (config.own.size() == 0) return {.blocks = blocks};
    return {.axis = axis, .range = {config.own.begin * d, config.own.end * d}, .blocks = blocks};
  }

  // queries, keys or values: columns [which D, (which + 1) D)
  auto part(Tensor<ExecutionSpace, T, 3> const& qkv, std::size_t which) const {
    std::size_t const D = m_width;
    return Kokkos::subview(qkv, Kokkos::ALL, Kokkos::ALL, std::pair(which * D, (which + 1) * D));
  }

  std::size_t m_heads; // of this rank
  std::size_t m_width; // their features
  Linear<ExecutionSpace, T> m_qkv;
  Linear<ExecutionSpace, T> m_out;
};

} // namespace dchag::layers
