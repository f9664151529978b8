// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/detail/agreed.hpp>
#include <dchag/channels/detail/check_batch.hpp>
#include <dchag/channels/detail/gathered.hpp>

namespace dchag {

/// Distributed tokenization only: each rank tokenizes its own channels, one AllGather brings the tokens of all
/// channels, and every rank reduces all of them. It computes the function of `ChannelAggregator`; the paper shows that
/// it needs more memory and traffic than it saves. Here to be measured against. In both forms the tokens that are sent
/// are stored, C N D numbers of T on every rank, and once more closed up where P does not divide C or channels are
/// absent; fused (in bfloat16 or not), their keys and values are not.
///
/// Shapes: own planes (B, c, H, W), or an `Image` -> y (B, positions, D), the same on every rank.
/// Collective: construction (one all-reduce of 16 bytes); `forward`: one AllGather of ceil(C / P) N D numbers per rank;
/// `backward`: nothing, as each rank's slice of the gradient is whole.
/// Throws: as `DistributedAggregator`.
/// Source: the paper, section 3.1 and figure 8.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class TreePolicy = Tree<CrossAttention>,
          AggregationForm Form = Fused>
class DistributedTokenization {
  using ChannelTree = TreeAggregation<ExecutionSpace, T, TreePolicy, Form>;

public:
  using value_type = T;
  using execution_space = ExecutionSpace;

  struct Context {
    TokenPlan<ExecutionSpace> plan;
    detail::GatheredTokens<ExecutionSpace, T> gathered; // (P ceil(C / P), N, D)
    typename ChannelTree::Context tree;
  };

  /// Keeps a reference to the communicator.
  DistributedTokenization(ExecutionSpace const& exec, comm::Communicator const& communicator,
                          AggregatorConfig const& config)
      : m_communicator(detail::agreed(communicator, "DistributedTokenization", config)), m_config(config),
        m_tokenizer(exec, "tokenizer", {config.channels, config.patch, config.width}, own_channels(), config.seed),
        m_tree(exec, "tree", config.channels, config.aggregation(), Placement::replicated, config.seed) {}

  DistributedTokenization(ExecutionSpace const&, comm::Communicator const&&, AggregatorConfig const&) = delete;

  AggregatorConfig const& config() const { return m_config; }

  /// The channels whose planes this rank's image must bring.
  Range own_channels() const { return even_part(m_config.channels, ranks(), rank()); }

  /// Throws the same error on every rank unless every rank's image fits the model and all bring the same batch.
  /// Collective: two all-reduces of at most 16 bytes.
  template <class Input>
  void check(ExecutionSpace const& exec, Context& context, Input const& input) const {
    auto const image = as_image(input);
    detail::check_batch(m_communicator, "DistributedTokenization", image, [&] {
      prepare(exec, context, image);
      return m_tokenizer.positions(context.plan, image);
    });
  }

  template <class Input>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, Input const& input,
               Tensor<ExecutionSpace, T, 3> const& y) const {
    auto const& exec = workspace.exec();
    auto const image = as_image(input);
    prepare(exec, context, image);
    std::size_t const B = image.pixels.extent(0);
    std::size_t const positions = m_tokenizer.positions(context.plan, image);
    std::size_t const N = B * positions;
    require_shape("DistributedTokenization::forward", "y", y, {B, positions, m_config.width});
    context.gathered.reserve_for(exec, N, m_config.width);
    std::size_t const first = own_slots().begin;
    std::size_t const made = context.plan.tokens();
    m_tokenizer.forward(workspace, context.plan, image, slices(context.gathered.all(), first, first + made));
    if (made < slots_per_rank()) // sent, but used by nobody
      Kokkos::deep_copy(exec, slices(context.gathered.all(), first + made, own_slots().end), T(0));
    context.gathered.all_gather(exec, m_communicator, own_slots());
    m_tree.forward(workspace, context.tree, context.gathered.present(), rows(y));
  }

  /// Shapes: d_y like y, the same on every rank; d_pixels like the image's pixels, or `no_gradient`.
  template <class Input, GradientView<4> DPixels>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, Input const& input,
                Tensor<ExecutionSpace, T, 3> const& d_y, DPixels const& d_pixels) const {
    auto frame = workspace.frame();
    auto const& tokens = context.gathered.present();
    auto const d_tokens = frame.template take<T, 3>(extents_of(tokens));
    m_tree.backward(workspace, context.tree, tokens, rows(d_y), d_tokens);
    Range const own = context.gathered.own_present();
    m_tokenizer.backward(workspace, context.plan, as_image(input), slices(d_tokens, own.begin, own.end), d_pixels);
  }

  template <class F>
  void for_each_parameter(F const& f) {
    m_tokenizer.for_each_parameter(f);
    m_tree.for_each_parameter(f);
  }

  Description describe() const { return detail::describe_aggregator<T, TreePolicy, void>(m_config, 0); }

private:
  std::size_t rank() const { return static_cast<std::size_t>(m_communicator.rank()); }
  std::size_t ranks() const { return static_cast<std::size_t>(m_communicator.size()); }
  std::size_t slots_per_rank() const { return (m_config.channels + ranks() - 1) / ranks(); }
  Range own_slots() const { return {rank() * slots_per_rank(), (rank() + 1) * slots_per_rank()}; }

  // Each rank's tokens lie at the front of its slots.
  template <class Pixels>
  void prepare(ExecutionSpace const& exec, Context& context, Image<Pixels> const& image) const {
    if (!context.plan.update(exec, image.channels, m_config.channels, own_channels())) return;
    std::vector<std::size_t> present_slots;
    std::size_t owner = 0;
    std::size_t next = 0; // slot of the owner
    for (auto channel : context.plan.present()) {
      for (; channel >= even_part(m_config.channels, ranks(), owner).end; next = 0) ++owner;
      present_slots.push_back(owner * slots_per_rank() + next++);
    }
    context.gathered.plan(exec, ranks() * slots_per_rank(), present_slots, own_slots());
    m_tree.plan(exec, context.tree, context.plan.present());
  }

  comm::Communicator const& m_communicator;
  AggregatorConfig m_config;
  Tokenizer<ExecutionSpace, T> m_tokenizer;
  ChannelTree m_tree;
};

} // namespace dchag
