// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/layers/encoder_block.hpp>
#include <dchag/parallel/tensor_parallel.hpp>

namespace dchag::parallel {

/// `layers::EncoderBlock`, shared by the ranks of a communicator: each computes its heads of the attention and its
/// hidden features of the MLP, whose outputs are summed over the ranks. The biases of both outputs are added once,
/// after the sum.
///
/// Shapes: batch (B, L); x, y (rows, D), all N = B L rows, the same on every rank, or in the sequence-parallel form
/// this rank's part of them. d_x may be d_y. Parameters as `layers::EncoderBlock`, of which a rank holds its share. h
/// and the hidden features must be multiples of P. Kept: N ((4 + mlp_ratio) D + h) / P numbers; and 3 D + 4 more for
/// each of the rows at hand. Collective: as `Form` says. Throws: ShapeError at construction.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, TensorParallelForm Form>
class EncoderBlock {
  using Matrix = Tensor<ExecutionSpace, T, 2>;
  using Norm = layers::LayerNorm<ExecutionSpace, T>;
  using Attention = layers::SelfAttention<ExecutionSpace, T>;
  using Mlp = layers::Mlp<ExecutionSpace, T>;

public:
  using value_type = T;
  using Config = typename layers::EncoderBlock<ExecutionSpace, T>::Config;

  struct Context {
    Matrix normed_1, middle, normed_2; // (rows, D) each
    typename Norm::Context norm_1, norm_2;
    typename Attention::Context attention;
    typename Mlp::Context mlp;
    layers::DropoutDraw dropout = {}; ///< set before forward
  };

  EncoderBlock(ExecutionSpace const& exec, Form const& form, std::string const& name, Config const& config,
               std::uint64_t seed)
      : m_form(form), m_norm_1(exec, name + ".norm_1", config.width, Form::cuts_rows, config.norm_epsilon),
        m_attention(exec, name + ".attention",
                    {.width = config.width, .heads = config.heads, .own = share(name, "heads", config.heads)}, seed),
        m_attention_bias(exec, bias_spec(name + ".attention.out.bias", config.width), initial::constant(0)),
        m_norm_2(exec, name + ".norm_2", config.width, Form::cuts_rows, config.norm_epsilon),
        m_mlp(exec, name + ".mlp",
              {.inputs = config.width,
               .hidden = config.mlp_ratio * config.width,
               .outputs = config.width,
               .own = share(name, "hidden features", config.mlp_ratio * config.width)},
              seed),
        m_mlp_bias(exec, bias_spec(name + ".mlp.out.bias", config.width), initial::constant(0)),
        m_residual_1(name + ".attention.dropout", config.dropout, seed),
        m_residual_2(name + ".mlp.dropout", config.dropout, seed) {}

  void forward(Workspace<ExecutionSpace>& workspace, Context& context, Extents<2> const& batch, Matrix const& x,
               Matrix const& y) const {
    auto const& exec = workspace.exec();
    reserve(exec, context.normed_1, "dchag::layers::block_normed_1", extents_of(x));
    reserve(exec, context.middle, "dchag::layers::block_middle", extents_of(x));
    reserve(exec, context.normed_2, "dchag::layers::block_normed_2", extents_of(x));
    m_norm_1.forward(workspace, context.norm_1, x, context.normed_1);
    sum_shares(workspace, batch, context.normed_1, context.middle, [&](auto const& all, auto const& share) {
      m_attention.forward(workspace, context.attention, all, share);
    });
    ops::add_bias(exec, m_attention_bias.values(), context.middle);
    m_residual_1.forward(exec, context.dropout, first_row(context, batch), x, context.middle, context.middle);
    m_norm_2.forward(workspace, context.norm_2, context.middle, context.normed_2);
    sum_shares(workspace, batch, context.normed_2, y,
               [&](auto const& all, auto const& share) { m_mlp.forward(workspace, context.mlp, all, share); });
    ops::add_bias(exec, m_mlp_bias.values(), y);
    m_residual_2.forward(exec, context.dropout, first_row(context, batch), context.middle, y, y);
  }

  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, Extents<2> const& batch, Matrix const& x,
                Matrix const& d_y, Matrix const& d_x) const {
    auto const& exec = workspace.exec();
    auto frame = workspace.frame();
    auto const d_branch = frame.template take<T, 2>(extents_of(x)); // gradient through the norm and what follows it
    auto const d_middle = frame.template take<T, 2>(extents_of(x));
    auto const d_mlp = m_residual_2.backward(exec, frame, context.dropout, first_row(context, batch), d_y);
    ops::add_column_sums(exec, d_mlp, m_mlp_bias.gradients());
    sum_shares_backward(workspace, batch, context.normed_2, d_mlp, d_branch,
                        [&](auto const& all, auto const& d_share, auto const& d_all) {
                          m_mlp.backward(workspace, context.mlp, all, d_share, d_all);
                        });
    m_norm_2.backward(workspace, context.norm_2, context.middle, d_branch, d_branch);
    ops::add(exec, d_y, d_branch, d_middle);
    auto const d_attention = m_residual_1.backward(exec, frame, context.dropout, first_row(context, batch), d_middle);
    ops::add_column_sums(exec, d_attention, m_attention_bias.gradients());
    sum_shares_backward(workspace, batch, context.normed_1, d_attention, d_branch,
                        [&](auto const& all, auto const& d_share, auto const& d_all) {
                          m_attention.backward(workspace, context.attention, all, d_share, d_all);
                        });
    m_norm_1.backward(workspace, context.norm_1, x, d_branch, d_branch);
    ops::add(exec, d_middle, d_branch, d_x);
  }

  template <class F>
  void for_each_parameter(F const& f) {
    m_norm_1.for_each_parameter(f);
    m_attention.for_each_parameter(f);
    f(m_attention_bias);
    m_norm_2.for_each_parameter(f);
    m_mlp.for_each_parameter(f);
    f(m_mlp_bias);
  }

private:
  using Cube = Tensor<ExecutionSpace, T, 3>;

  Range share(std::string const& name, char const* what, std::size_t count) const {
    return own_share(m_form.communicator(), name, what, count);
  }
  static ParameterSpec bias_spec(std::string name, std::size_t width) {
    return {.name = std::move(name), .shape = {width}, .partial_gradient = Form::cuts_rows};
  }
  // Of the whole batch, the row that is the first here.
  std::size_t first_row(Context const& context, Extents<2> const& batch) const {
    std::size_t const cut = Form::cuts_rows ? comm::own_part(m_form.communicator(), batch[0] * batch[1]).begin : 0;
    return context.dropout.first_sample * batch[1] + cut;
  }
  static Cube cube(Matrix const& rows, Extents<2> const& batch) {
    return reshape<3>(rows, {batch[0], batch[1], rows.extent(1)});
  }

  // All rows, of which this rank has its part.
  template <class Frame>
  Matrix gathered(ExecutionSpace const& exec, Frame& frame, Extents<2> const& batch, Matrix const& own) const {
    if (m_form.communicator().size() == 1) return own;
    auto const all = frame.template take<T, 2>({batch[0] * batch[1], own.extent(1)});
    Kokkos::deep_copy(exec, part_of(all), own);
    comm::all_gather_parts(exec, m_form.communicator(), all);
    return all;
  }
  Matrix part_of(Matrix const& all) const {
    Range const own = comm::own_part(m_form.communicator(), all.extent(0));
    return Matrix(all.data() + own.begin * all.extent(1), own.size(), all.extent(1));
  }

  /// y = the sum over the ranks of compute(x, share), all x going in.
  template <class Compute>
  void sum_shares(Workspace<ExecutionSpace>& workspace, Extents<2> const& batch, Matrix const& x, Matrix const& y,
                  Compute const& compute) const {
    auto const& exec = workspace.exec();
    if constexpr (Form::cuts_rows) {
      auto frame = workspace.frame();
      auto const all = gathered(exec, frame, batch, x);
      auto const share = frame.template take<T, 2>(extents_of(all));
      compute(cube(all, batch), cube(share, batch));
      comm::reduce_scatter_parts(exec, m_form.communicator(), share, y);
    } else {
      compute(cube(x, batch), cube(y, batch));
      comm::all_reduce(exec, m_form.communicator(), y, comm::Reduce::sum);
    }
  }

  template <class Compute>
  void sum_shares_backward(Workspace<ExecutionSpace>& workspace, Extents<2> const& batch, Matrix const& x,
                           Matrix const& d_y, Matrix const& d_x, Compute const& compute) const {
    auto const& exec = workspace.exec();
    if constexpr (Form::cuts_rows) {
      auto frame = workspace.frame();
      auto const all = gathered(exec, frame, batch, x);
      auto const d_share = gathered(exec, frame, batch, d_y);
      auto const d_all = frame.template take<T, 2>(extents_of(all));
      compute(cube(all, batch), cube(d_share, batch), cube(d_all, batch));
      comm::reduce_scatter_parts(exec, m_form.communicator(), d_all, d_x);
    } else {
      compute(cube(x, batch), cube(d_y, batch), cube(d_x, batch));
      comm::all_reduce(exec, m_form.communicator(), d_x, comm::Reduce::sum);
    }
  }

  Form m_form;
  Norm m_norm_1;
  Attention m_attention;
  Parameter<ExecutionSpace, T> m_attention_bias;
  Norm m_norm_2;
  Mlp m_mlp;
  Parameter<ExecutionSpace, T> m_mlp_bias;
  layers::Residual m_residual_1, m_residual_2;
};

} // namespace dchag::parallel
