// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/channel_aggregator.hpp>
#include <dchag/channels/detail/agreed.hpp>
#include <dchag/channels/detail/check_batch.hpp>
#include <dchag/channels/detail/gathered.hpp>
#include <dchag/channels/head_shared.hpp>
#include <dchag/comm/gather_gradient.hpp>

namespace dchag {

/// Sizes of an aggregation over ranks.
struct DistributedAggregatorConfig {
  std::size_t channels; ///< C
  std::size_t groups;   ///< G, part of the model: any P that divides it runs the same model
  std::size_t patch;    ///< edge p, in pixels
  std::size_t width;    ///< D
  std::size_t heads;    ///< h, of the cross-attention
  bool projection_bias = false;
  std::uint64_t seed = 0;
  ops::PoolingChoice pooling = {};             ///< of the fused cross-attention; left to the cost model if not said
  std::vector<std::string> channel_names = {}; ///< (C), by which checkpoints know the channels; empty: by their order

  /// Of modules whose inputs are these channels, or none.
  AggregationConfig aggregation(Range inputs = {}) const {
    AggregationConfig result{width, heads, projection_bias, pooling};
    result.channels = inputs;
    return result;
  }
};

namespace detail {

/// `DistributedAggregator` with its tree as a type: compiled once for all trees of the same layers.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class GroupTree, class Final, AggregationForm Form>
class GroupAggregator {
  using Stage = TokenStage<ExecutionSpace, T, Form>;
  using FinalModule = typename Final::template Module<ExecutionSpace, T, Form>;

public:
  using value_type = T;
  using execution_space = ExecutionSpace;

  struct Context {
    TokenPlan<ExecutionSpace> plan;
    typename Stage::Context stage;                      // materialized: tokens (c, N, D)
    std::vector<Range> group_tokens;                    // of each own group
    std::vector<typename GroupTree::Context> trees;     // of each own group
    detail::GatheredTokens<ExecutionSpace, T> gathered; // (G, N, D)
    typename FinalModule::Context final_module;
  };

  GroupAggregator(ExecutionSpace const& exec, comm::Communicator const& communicator,
                  DistributedAggregatorConfig const& config, typename GroupTree::Shapes const& shapes)
      : m_communicator(detail::same_config(communicator, "DistributedAggregator", config, {{"groups", config.groups}})),
        m_config(config), m_partition(config.channels, config.groups, static_cast<std::size_t>(communicator.size())),
        m_tokenizer(exec, "tokenizer", {config.channels, config.patch, config.width}, own_channels(), config.seed),
        m_final(make_final(exec, communicator, config)) {
    auto const placement = communicator.size() == 1 ? Placement::replicated : Placement::distributed;
    for (std::size_t g = own_groups().begin; g < own_groups().end; ++g)
      m_trees.emplace_back(exec, "group" + std::to_string(g), shapes, m_partition.group(g).size(),
                           config.aggregation(m_partition.group(g)), placement, config.seed);
  }

  DistributedAggregatorConfig const& config() const { return m_config; }
  Partition const& partition() const { return m_partition; }

  /// The channels whose planes this rank's image must bring.
  Range own_channels() const { return m_partition.channels_of(rank()); }

  /// Throws the same error on every rank unless every rank's image fits the model and all bring the same batch.
  /// Collective: two all-reduces of at most 16 bytes.
  template <class Input>
  void check(ExecutionSpace const& exec, Context& context, Input const& input) const {
    auto const image = as_image(input);
    detail::check_batch(m_communicator, "DistributedAggregator", image, [&] {
      prepare(exec, context, image);
      return positions_of(context, image);
    });
  }

  template <class Input>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, Input const& input,
               Tensor<ExecutionSpace, T, 3> const& y) const {
    auto const& exec = workspace.exec();
    auto const image = as_image(input);
    prepare(exec, context, image);
    std::size_t const B = image.pixels.extent(0);
    std::size_t const positions = positions_of(context, image);
    std::size_t const N = B * positions;
    require_shape("DistributedAggregator::forward", "y", y, {B, positions, m_config.width});
    auto const& tokens = Stage::forward(workspace, m_tokenizer, context.stage, context.plan, image);
    context.gathered.reserve_for(exec, N, m_config.width);
    for (std::size_t i = 0; i < m_trees.size(); ++i) {
      auto const [begin, end] = context.group_tokens[i];
      auto const group_token = slice(context.gathered.all(), own_groups().begin + i);
      if (begin == end)
        Kokkos::deep_copy(exec, group_token, T(0)); // sent, but used by nobody
      else
        m_trees[i].forward(workspace, context.trees[i], slices(tokens, begin, end), group_token);
    }
    context.gathered.all_gather(exec, m_communicator, own_groups());
    m_final.forward(workspace, context.final_module, context.gathered.present(), context.gathered.members(), rows(y));
  }

  /// Shapes: d_y like y, the same on every rank; d_pixels like the image's pixels, or `no_gradient`.
  template <class Input, GradientView<4> DPixels>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, Input const& input,
                Tensor<ExecutionSpace, T, 3> const& d_y, DPixels const& d_pixels) const {
    auto frame = workspace.frame();
    std::size_t const N = d_y.extent(0) * d_y.extent(1);
    Range const own = context.gathered.own_present();
    auto const d_groups = frame.template take<T, 3>({own.size(), N, m_config.width});
    if constexpr (shares_heads)
      sum_final_gradients(workspace, context, rows(d_y), d_groups);
    else
      m_final.backward(workspace, context.final_module, context.gathered.present(), context.gathered.members(),
                       rows(d_y), own, d_groups);
    Stage::backward(workspace, m_tokenizer, context.stage, context.plan, as_image(input), d_pixels,
                    [&](auto const& tokens, auto const& d_tokens) {
                      std::size_t next = 0; // groups without a token have no gradient
                      for (std::size_t i = 0; i < m_trees.size(); ++i) {
                        auto const [begin, end] = context.group_tokens[i];
                        if (begin == end) continue;
                        m_trees[i].backward(workspace, context.trees[i], slices(tokens, begin, end),
                                            slice(d_groups, next++), slices(d_tokens, begin, end));
                      }
                    });
  }

  template <class F>
  void for_each_parameter(F const& f) {
    m_tokenizer.for_each_parameter(f);
    for (auto& tree : m_trees) tree.for_each_parameter(f);
    m_final.for_each_parameter(f);
  }

private:
  static constexpr bool shares_heads = std::same_as<Final, HeadShared>;

  static FinalModule make_final(ExecutionSpace const& exec, comm::Communicator const& communicator,
                                DistributedAggregatorConfig const& config) {
    if constexpr (shares_heads)
      return FinalModule(exec, communicator, "final", config.groups, config.aggregation(), config.seed);
    else
      return FinalModule(exec, "final", config.groups, config.aggregation(), Placement::replicated, config.seed);
  }

  // Each rank's heads give a share of the gradient of every gathered token: the sum goes to the ranks that made them.
  void sum_final_gradients(Workspace<ExecutionSpace>& workspace, Context const& context,
                           Tensor<ExecutionSpace, T, 2> const& d_y,
                           Tensor<ExecutionSpace, T, 3> const& d_groups) const {
    auto const& exec = workspace.exec();
    auto const& present = context.gathered.present();
    Range const own = context.gathered.own_present();
    auto frame = workspace.frame();
    auto const d_all = frame.template take<T, 3>(extents_of(present));
    m_final.backward(workspace, context.final_module, present, context.gathered.members(), d_y,
                     Range{0, present.extent(0)}, d_all);
    if (present.extent(0) == m_config.groups) {
      comm::all_gather_backward(comm::ReduceScatter(), exec, m_communicator, d_all, d_groups);
    } else {
      comm::all_reduce(exec, m_communicator, d_all, comm::Reduce::sum);
      Kokkos::deep_copy(exec, d_groups, slices(d_all, own.begin, own.end));
    }
  }

  std::size_t rank() const { return static_cast<std::size_t>(m_communicator.rank()); }
  Range own_groups() const { return m_partition.groups_of(rank()); }

  template <class Pixels>
  void prepare(ExecutionSpace const& exec, Context& context, Image<Pixels> const& image) const {
    bool const changed = context.plan.update(exec, image.channels, m_config.channels, own_channels());
    if (!changed && context.trees.size() == m_trees.size()) return;
    context.trees.assign(m_trees.size(), {});
    context.group_tokens.clear();
    std::size_t token = 0;
    for (std::size_t i = 0; i < m_trees.size(); ++i) {
      Range const group = m_partition.group(own_groups().begin + i);
      std::vector<std::size_t> present; // channels, from the group's first
      for (; token + present.size() < context.plan.tokens();) {
        std::size_t const channel = own_channels().begin + context.plan.own()[token + present.size()];
        if (!group.contains(channel)) break;
        present.push_back(channel - group.begin);
      }
      context.group_tokens.push_back({token, token + present.size()});
      token += present.size();
      if (!present.empty()) m_trees[i].plan(exec, context.trees[i], present);
    }
    std::vector<std::size_t> groups; // of all ranks, with a channel at least
    for (std::size_t g = 0; g < m_config.groups; ++g)
      if (std::ranges::any_of(context.plan.present(), [&](auto c) { return m_partition.group(g).contains(c); }))
        groups.push_back(g);
    context.gathered.plan(exec, m_config.groups, groups, own_groups());
  }

  template <class Pixels>
  std::size_t positions_of(Context const& context, Image<Pixels> const& image) const {
    std::size_t const planes = image.pixels.extent(1);
    require(planes == context.plan.tokens(), "DistributedAggregator::forward: image has C = ", planes,
            ", expected C = ", context.plan.tokens(), " (", context.plan.present().size(), " of the channels ",
            m_config.channels, " over P = ", m_partition.ranks(), " ranks)");
    return m_tokenizer.positions(context.plan, image);
  }

  comm::Communicator const& m_communicator;
  DistributedAggregatorConfig m_config;
  Partition m_partition;
  Tokenizer<ExecutionSpace, T> m_tokenizer;
  std::vector<GroupTree> m_trees;
  FinalModule m_final;
};

} // namespace detail

/// D-CHAG: each rank tokenizes its own channels and reduces each of its groups to one token per position by a tree; one
/// AllGather brings the tokens of all G groups; a final module, the same on every rank, reduces them to one.
///
/// Steps: tokenizer (c, N, D) -> trees (G / P, N, D) -> AllGather (G, N, D) -> final (N, D).
/// Shapes: own planes (B, c, H, W), or an `Image` -> y (B, positions, D), the same on every rank.
/// Collective: construction (one all-reduce of 16 bytes); `forward`: one AllGather of (G / P) N D numbers per rank, so
/// (P - 1) (G / P) N D are received; `backward`: nothing, because every rank runs the same final module on the same
/// loss and its own slice of the gathered gradient is therefore whole; `check`: two small all-reduces. With
/// `HeadShared` as Final, `forward` makes one all-reduce of N D numbers more and `backward` one reduce-scatter of G N D
/// (an all-reduce of those present if groups are absent), and `parallel::sum_partial_gradients` is due. Throws: at
/// construction ShapeError or CommError, the same on every rank. `forward` throws ShapeError on the rank whose image
/// does not fit, before it communicates; call `check` first where ranks may differ. Source: the paper, section 3.2. The
/// groups are part of the model here, not of the run, so that a checkpoint outlives the number of ranks; P = G is the
/// paper's case.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class TreePolicy = Tree<CrossAttention>,
          class Final = CrossAttention, AggregationForm Form = Fused>
class DistributedAggregator
    : public detail::GroupAggregator<ExecutionSpace, T,
                                     typename detail::TreeOf<ExecutionSpace, T, Form, TreePolicy>::type, Final, Form> {
  using GroupTree = detail::TreeOf<ExecutionSpace, T, Form, TreePolicy>;
  using Base = detail::GroupAggregator<ExecutionSpace, T, typename GroupTree::type, Final, Form>;

public:
  /// Keeps a reference to the communicator.
  DistributedAggregator(ExecutionSpace const& exec, comm::Communicator const& communicator,
                        DistributedAggregatorConfig const& config)
      : Base(exec, communicator, config, GroupTree::shapes) {}

  DistributedAggregator(ExecutionSpace const&, comm::Communicator const&&, DistributedAggregatorConfig const&) = delete;

  Description describe() const {
    return detail::describe_aggregator<T, TreePolicy, Final>(this->config(), this->config().groups);
  }
};

template <class ExecutionSpace, class T, class TreePolicy, class Final, class Form>
struct detail::WithoutShape<DistributedAggregator<ExecutionSpace, T, TreePolicy, Final, Form>> {
  using type =
      GroupAggregator<ExecutionSpace, T, typename TreeOf<ExecutionSpace, T, Form, TreePolicy>::type, Final, Form>;
};

} // namespace dchag
