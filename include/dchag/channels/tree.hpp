// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/cross_attention.hpp>
#include <dchag/channels/image.hpp>
#include <dchag/channels/linear.hpp>

#include <array>
#include <tuple>

namespace dchag {

/// Whether each group of a level has a module of its own, or all groups share one (as the published runs do).
enum class Modules { separate, shared };

/// A layer says what it is in a description by `name`, a text; whether its function depends on
/// `AggregationConfig::heads` by `has_heads`; what it learns of its inputs by `input_weights`. It need not.
///
/// One level of a tree: cuts its inputs into `Groups` contiguous groups as equal as possible (as many groups as inputs
/// if there are fewer) and reduces each to one token with `Layer`: `CrossAttention` or `Linear`.
template <class Layer, std::size_t Groups, Modules Sharing = Modules::separate>
struct Level {
  static_assert(Groups > 0, "Level: a level has at least one group");
  using layer = Layer;
  static constexpr std::size_t groups = Groups;
  static constexpr Modules sharing = Sharing;
};

/// A tree from its levels, the first over the channels, the last with one group. Levels may mix layers.
template <class... Levels>
struct MixedTree {
  static_assert(sizeof...(Levels) > 0, "MixedTree: a tree has at least one level");
  static_assert(std::tuple_element_t<sizeof...(Levels) - 1, std::tuple<Levels...>>::groups == 1,
                "MixedTree: the last level reduces to one token");
  using levels = std::tuple<Levels...>;
};

/// `Tree<CrossAttention>` is the paper's -C Tree0, `Tree<Linear, 4>` its -L Tree4, `Tree<Linear, 16, 4>` has three
/// levels.
template <class Layer, std::size_t... Groups>
using Tree = MixedTree<Level<Layer, Groups>..., Level<Layer, 1>>;

/// The same with one module per level, as in the published runs.
template <class Layer, std::size_t... Groups>
using SharedTree = MixedTree<Level<Layer, Groups, Modules::shared>..., Level<Layer, 1>>;

namespace detail {

/// What a level is besides its layer. It is known while the program runs, so that trees of the same layers are compiled
/// once, however many groups they have.
struct LevelShape {
  std::size_t groups;
  Modules sharing;
};

/// One level over a fixed number of inputs, of which some may be absent. Its tokens are stored or, in the fused form,
/// `ChannelTokens`.
template <class ExecutionSpace, class T, class Layer, class Form>
class TreeLevel {
public:
  using Module = typename Layer::template Module<ExecutionSpace, T, Form>;
  static_assert(AggregationModule<Module, ExecutionSpace, T>, "Level: the layer is CrossAttention or Linear, or has a "
                                                              "Module like theirs");
  using Index = Tensor<ExecutionSpace, std::size_t, 1>;

  struct Group {
    std::size_t index;  // of the group
    std::size_t module; // that reduces it
    Range tokens;       // that are present
    typename Module::Context context;
  };
  struct Context {
    std::vector<Group> groups;           // with a token at least
    Index members;                       // (tokens), which of its module's inputs each is
    Tensor<ExecutionSpace, T, 3> output; // (groups, N, D); the last level writes to the tree's output instead
  };

  TreeLevel(ExecutionSpace const& exec, std::string const& name, LevelShape const& shape, std::size_t inputs,
            AggregationConfig const& config, Placement placement, std::uint64_t seed)
      : m_inputs(inputs), m_groups((std::min)(shape.groups, inputs)), m_sharing(shape.sharing) {
    std::size_t const modules = m_sharing == Modules::shared ? 1 : m_groups;
    for (std::size_t i = 0; i < modules; ++i) { // a shared module has inputs enough for the largest group, the first
      Range const group = even_part(inputs, m_groups, i);
      auto own = config;
      own.channels = {};
      if (config.channels.size() > 0 && modules == m_groups)
        own.channels = {config.channels.begin + group.begin, config.channels.begin + group.end};
      m_modules.emplace_back(exec, name + ".module" + std::to_string(i), group.size(), own, placement, seed);
    }
  }

  std::size_t groups() const { return m_groups; }

  /// Prepares for the inputs that are present, ascending, and returns the groups that then have an output.
  std::vector<std::size_t> plan(ExecutionSpace const& exec, Context& context,
                                std::vector<std::size_t> const& present) const {
    std::vector<std::size_t> members;
    std::vector<std::size_t> outputs;
    context.groups.clear();
    for (std::size_t group = 0; group < m_groups; ++group) {
      Range const inputs = even_part(m_inputs, m_groups, group);
      std::size_t const begin = members.size();
      for (std::size_t i = begin; i < present.size() && present[i] < inputs.end; ++i)
        members.push_back(present[i] - inputs.begin);
      if (members.size() == begin) continue;
      outputs.push_back(group);
      context.groups.push_back({group, m_sharing == Modules::shared ? 0 : group, Range{begin, members.size()}, {}});
    }
    context.members = TokenPlan<ExecutionSpace>::to_device(exec, members);
    return outputs;
  }

  template <class Tokens>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, Tokens const& tokens,
               Tensor<ExecutionSpace, T, 3> const& output) const {
    for (std::size_t i = 0; i < context.groups.size(); ++i) {
      auto& group = context.groups[i];
      m_modules[group.module].forward(workspace, group.context, slices(tokens, group.tokens.begin, group.tokens.end),
                                      members(context, group), slice(output, i));
    }
  }

  template <class Tokens, class DTokens>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, Tokens const& tokens,
                Tensor<ExecutionSpace, T, 3> const& d_output, DTokens const& d_tokens) const {
    for (std::size_t i = 0; i < context.groups.size(); ++i) {
      auto const& group = context.groups[i];
      Range const all{0, group.tokens.size()};
      auto const own = slices(tokens, group.tokens.begin, group.tokens.end);
      if constexpr (is_wanted<DTokens>)
        m_modules[group.module].backward(workspace, group.context, own, members(context, group), slice(d_output, i),
                                         all, slices(d_tokens, group.tokens.begin, group.tokens.end));
      else
        m_modules[group.module].backward(workspace, group.context, own, members(context, group), slice(d_output, i),
                                         all, no_gradient);
    }
  }

  template <class Tokens>
  void freeze(Workspace<ExecutionSpace>& workspace, Context& context, Tokens const& tokens) const {
    for (auto& group : context.groups) {
      auto const own = slices(tokens, group.tokens.begin, group.tokens.end);
      if constexpr (requires { m_modules[0].freeze(workspace, group.context, own); })
        m_modules[group.module].freeze(workspace, group.context, own);
    }
  }

  template <class F>
  void for_each_parameter(F const& f) {
    for (auto& module : m_modules) module.for_each_parameter(f);
  }

private:
  static auto members(Context const& context, Group const& group) {
    return Index(context.members.data() + group.tokens.begin, group.tokens.size());
  }

  std::size_t m_inputs;
  std::size_t m_groups;
  Modules m_sharing;
  std::vector<Module> m_modules;
};

/// A tree of levels of these layers, the first over the channels. See `TreeAggregation`.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, AggregationForm Form, class... Layers>
class LayerTree {
  struct Levels {
    using stages = std::tuple<TreeLevel<ExecutionSpace, T, Layers, Form>...>;
    using contexts = std::tuple<typename TreeLevel<ExecutionSpace, T, Layers, Form>::Context...>;
  };
  static constexpr std::size_t depth = sizeof...(Layers);

public:
  using value_type = T;
  using Shapes = std::array<LevelShape, depth>;

  struct Context {
    typename Levels::contexts levels;
    std::vector<std::size_t> present;
  };

  LayerTree(ExecutionSpace const& exec, std::string const& name, Shapes const& shapes, std::size_t inputs,
            AggregationConfig const& config, Placement placement, std::uint64_t seed)
      : m_levels(make_levels(exec, name, shapes, inputs, config, placement, seed, std::make_index_sequence<depth>())) {}

  /// Prepares for the inputs that are present, ascending. To be called before `forward`; does nothing if they are those
  /// of the last call.
  void plan(ExecutionSpace const& exec, Context& context, std::vector<std::size_t> const& present) const {
    if (!present.empty() && context.present == present) return;
    context.present = present;
    plan_level<0>(exec, context, present);
  }

  template <class Tokens>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, Tokens const& tokens,
               Tensor<ExecutionSpace, T, 2> const& y) const {
    forward_level<0>(workspace, context, tokens, y);
  }

  /// Shapes: d_tokens like tokens, or `no_gradient`.
  template <class Tokens, class DTokens>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, Tokens const& tokens,
                Tensor<ExecutionSpace, T, 2> const& d_y, DTokens const& d_tokens) const {
    auto const d_output = reshape<3>(d_y, {1, d_y.extent(0), d_y.extent(1)});
    backward_level<depth - 1>(workspace, context, tokens, d_output, d_tokens);
  }

  /// Prepares for inference with weights that no longer change: after `plan`, and until the next plan of other inputs,
  /// `forward` uses the values of the first level as they are now.
  template <class Tokens>
  void freeze(Workspace<ExecutionSpace>& workspace, Context& context, Tokens const& tokens) const {
    std::get<0>(m_levels).freeze(workspace, std::get<0>(context.levels), tokens);
  }

  template <class F>
  void for_each_parameter(F const& f) {
    std::apply([&](auto&... level) { (level.for_each_parameter(f), ...); }, m_levels);
  }

private:
  // Each level's inputs are the outputs of the one below.
  template <std::size_t... Depths>
  static typename Levels::stages make_levels(ExecutionSpace const& exec, std::string const& name, Shapes const& shapes,
                                             std::size_t inputs, AggregationConfig config, Placement placement,
                                             std::uint64_t seed, std::index_sequence<Depths...>) {
    auto const make = [&]<std::size_t i>(std::integral_constant<std::size_t, i>) {
      std::tuple_element_t<i, typename Levels::stages> level(exec, name + ".level" + std::to_string(i), shapes[i],
                                                             inputs, config, placement, seed);
      inputs = level.groups();
      config.channels = {}; // the inputs of the levels above are tokens
      return level;
    };
    return typename Levels::stages{make(std::integral_constant<std::size_t, Depths>())...}; // braces: in this order
  }

  template <std::size_t Depth>
  void plan_level(ExecutionSpace const& exec, Context& context, std::vector<std::size_t> const& present) const {
    auto const outputs = std::get<Depth>(m_levels).plan(exec, std::get<Depth>(context.levels), present);
    if constexpr (Depth + 1 < depth) plan_level<Depth + 1>(exec, context, outputs);
  }

  template <std::size_t Depth, class Tokens>
  void forward_level(Workspace<ExecutionSpace>& workspace, Context& context, Tokens const& tokens,
                     Tensor<ExecutionSpace, T, 2> const& y) const {
    auto& level = std::get<Depth>(context.levels);
    if constexpr (Depth + 1 == depth) {
      std::get<Depth>(m_levels).forward(workspace, level, tokens, reshape<3>(y, {1, y.extent(0), y.extent(1)}));
    } else {
      reserve(workspace.exec(), level.output, "dchag::channels::level_output",
              Extents<3>{level.groups.size(), y.extent(0), y.extent(1)});
      std::get<Depth>(m_levels).forward(workspace, level, tokens, level.output);
      forward_level<Depth + 1>(workspace, context, level.output, y);
    }
  }

  // The inputs of level Depth are the outputs of level Depth - 1; those of level 0 are the tokens.
  template <std::size_t Depth, class Tokens, class DTokens>
  void backward_level(Workspace<ExecutionSpace>& workspace, Context const& context, Tokens const& tokens,
                      Tensor<ExecutionSpace, T, 3> const& d_output, DTokens const& d_tokens) const {
    auto const& level = std::get<Depth>(context.levels);
    if constexpr (Depth == 0) {
      std::get<0>(m_levels).backward(workspace, level, tokens, d_output, d_tokens);
    } else {
      auto const& inputs = std::get<Depth - 1>(context.levels).output;
      auto frame = workspace.frame();
      auto const d_inputs = frame.template take<T, 3>(extents_of(inputs));
      std::get<Depth>(m_levels).backward(workspace, level, inputs, d_output, d_inputs);
      backward_level<Depth - 1>(workspace, context, tokens, d_inputs, d_tokens);
    }
  }

  typename Levels::stages m_levels;
};

/// The levels of a policy, and what is compiled for them.
template <class ExecutionSpace, class T, class Form, class Levels>
struct TreeOfLevels;
template <class ExecutionSpace, class T, class Form, class... Levels>
struct TreeOfLevels<ExecutionSpace, T, Form, std::tuple<Levels...>> {
  using type = LayerTree<ExecutionSpace, T, Form, typename Levels::layer...>;
  static constexpr typename type::Shapes shapes{LevelShape{Levels::groups, Levels::sharing}...};
};
template <class ExecutionSpace, class T, class Form, class TreePolicy>
using TreeOf = TreeOfLevels<ExecutionSpace, T, Form, typename TreePolicy::levels>;

} // namespace detail

/// Reduces the tokens of each position to one through the levels of a tree.
///
/// Shapes: tokens (M, N, D) -> y (N, D), M the inputs that are present. In the fused form the tokens may be
/// `ChannelTokens`, which are not made, and whose gradients go to `ChannelTokenGradients`.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class TreePolicy, AggregationForm Form = Fused>
class TreeAggregation : public detail::TreeOf<ExecutionSpace, T, Form, TreePolicy>::type {
  using Tree = detail::TreeOf<ExecutionSpace, T, Form, TreePolicy>;

public:
  TreeAggregation(ExecutionSpace const& exec, std::string const& name, std::size_t inputs,
                  AggregationConfig const& config, Placement placement, std::uint64_t seed)
      : Tree::type(exec, name, Tree::shapes, inputs, config, placement, seed) {}
};

} // namespace dchag
