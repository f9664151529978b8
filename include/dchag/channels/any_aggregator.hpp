// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/aggregation.hpp>
#include <dchag/channels/image.hpp>
#include <dchag/core/description.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/workspace.hpp>
#include <dchag/layers/parameter.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

namespace dchag {

/// Any of the aggregators behind one type, for programs that choose among them while they run: the model around it is
/// compiled once, not once for each. It adds a virtual call a pass, and pixels are addressed by strides. A program that
/// knows its aggregator needs no such thing.
///
/// Shapes, collectives, errors: those of the aggregator; pixels of T in any layout and stride. It offers neither the
/// image's gradient nor `freeze`.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class AnyAggregator {
public:
  using value_type = T;
  using execution_space = ExecutionSpace;
  using Pixels = Kokkos::View<T const****, Kokkos::LayoutStride, typename ExecutionSpace::memory_space>;

  struct Config {
    std::size_t channels, patch, width;
    std::uint64_t seed;
  };

private:
  using Tokens = Tensor<ExecutionSpace, T, 3>;
  using AnyParameter = Parameter<ExecutionSpace, T>;

  struct AnyContext {
    virtual ~AnyContext() = default;
  };

public:
  /// That of the aggregator which `forward` or `check` was last called of.
  class Context {
    friend AnyAggregator;
    std::unique_ptr<AnyContext> m_held;
    std::uint64_t m_owner = 0;
  };

  template <class Aggregator>
  explicit AnyAggregator(Aggregator aggregator)
      : m_held(std::make_unique<Held<typename detail::WithoutShape<Aggregator>::type>>(std::move(aggregator),
                                                                                       description_of(aggregator))) {}

  Config const& config() const { return m_held->config; }
  Range own_channels() const { return m_held->own; }
  /// What the aggregator says of itself.
  Description const& describe() const { return m_held->description; }

  /// Calls the aggregator's `check`.
  template <class Input>
  void check(ExecutionSpace const& exec, Context& context, Input const& input) const {
    m_held->check(exec, held(context), any_image(input));
  }

  template <class Input>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, Input const& input, Tokens const& y) const {
    m_held->forward(workspace, held(context), any_image(input), y);
  }

  /// Throws: Error unless the context is that of this aggregator's `forward`.
  template <class Input>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, Input const& input, Tokens const& d_y,
                NoGradient) const {
    require<Error>(context.m_owner == m_held->id,
                   "AnyAggregator::backward: the context is another's, expected the one that forward was given");
    m_held->backward(workspace, *context.m_held, any_image(input), d_y);
  }

  template <class F>
  void for_each_parameter(F const& f) {
    m_held->for_each_parameter([&](AnyParameter& parameter) { f(parameter); });
  }

private:
  template <class Aggregator>
  static Description description_of(Aggregator const& aggregator) {
    if constexpr (Described<Aggregator>)
      return aggregator.describe();
    else
      return {};
  }

  struct Interface {
    Interface(Config const& of_model, Range own_channels, Description of_itself)
        : config(of_model), own(own_channels), description(std::move(of_itself)) {}
    virtual ~Interface() = default;
    virtual std::unique_ptr<AnyContext> make_context() const = 0;
    virtual void check(ExecutionSpace const& exec, AnyContext& context, Image<Pixels> const& image) const = 0;
    virtual void forward(Workspace<ExecutionSpace>& workspace, AnyContext& context, Image<Pixels> const& image,
                         Tokens const& y) const = 0;
    virtual void backward(Workspace<ExecutionSpace>& workspace, AnyContext const& context, Image<Pixels> const& image,
                          Tokens const& d_y) const = 0;
    virtual void for_each_parameter(std::function<void(AnyParameter&)> const& f) = 0;
    static std::uint64_t next_id() {
      static std::atomic<std::uint64_t> last = 0;
      return ++last;
    }
    Config config;
    Range own;
    Description description;
    std::uint64_t id = next_id(); // an address may be used again
  };

  template <class Aggregator>
  struct Held final : Interface {
    struct HeldContext final : AnyContext {
      typename Aggregator::Context context;
    };

    Held(Aggregator&& held, Description of_itself)
        : Interface({held.config().channels, held.config().patch, held.config().width, held.config().seed},
                    held.own_channels(), std::move(of_itself)),
          aggregator(std::move(held)) {}

    static auto& own(AnyContext& context) { return static_cast<HeldContext&>(context).context; }
    static auto const& own(AnyContext const& context) { return static_cast<HeldContext const&>(context).context; }

    std::unique_ptr<AnyContext> make_context() const override { return std::make_unique<HeldContext>(); }
    void check(ExecutionSpace const& exec, AnyContext& context, Image<Pixels> const& image) const override {
      aggregator.check(exec, own(context), image);
    }
    void forward(Workspace<ExecutionSpace>& workspace, AnyContext& context, Image<Pixels> const& image,
                 Tokens const& y) const override {
      aggregator.forward(workspace, own(context), image, y);
    }
    void backward(Workspace<ExecutionSpace>& workspace, AnyContext const& context, Image<Pixels> const& image,
                  Tokens const& d_y) const override {
      aggregator.backward(workspace, own(context), image, d_y, no_gradient);
    }
    void for_each_parameter(std::function<void(AnyParameter&)> const& f) override { aggregator.for_each_parameter(f); }

    Aggregator aggregator;
  };

  template <class Input>
  static Image<Pixels> any_image(Input const& input) {
    auto const image = as_image(input);
    return {image.pixels, image.channels, image.positions};
  }

  AnyContext& held(Context& context) const {
    if (context.m_owner != m_held->id) {
      context.m_held = m_held->make_context();
      context.m_owner = m_held->id;
    }
    return *context.m_held;
  }

  std::unique_ptr<Interface> m_held;
};

} // namespace dchag
