// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/image.hpp>
#include <dchag/core/workspace.hpp>
#include <dchag/layers/parameter.hpp>

#include <functional>
#include <memory>

namespace hyperspectral {

using Space = Kokkos::DefaultExecutionSpace;

/// The planes of a rank, within the image of all channels.
template <class T>
using OwnPixels =
    decltype(Kokkos::subview(std::declval<dchag::Tensor<Space, T, 4> const&>(), Kokkos::ALL,
                             std::declval<std::pair<std::size_t, std::size_t>>(), Kokkos::ALL, Kokkos::ALL));

/// Any of the library's aggregators behind one type, so that the model around it is compiled once and not for each. It
/// keeps its context itself. A program that knows its aggregator needs no such thing.
template <class T>
class AnyAggregator {
public:
  using value_type = T;
  using execution_space = Space;
  using Workspace = dchag::Workspace<Space>;
  using Image = dchag::Image<OwnPixels<T>>;
  using Tokens = dchag::Tensor<Space, T, 3>;
  using Parameter = dchag::Parameter<Space, T>;

  struct Context {};
  struct Config {
    std::size_t channels, patch, width;
    std::uint64_t seed;
  };

  template <class Aggregator>
  explicit AnyAggregator(Aggregator aggregator) : m_held(std::make_unique<Held<Aggregator>>(std::move(aggregator))) {}

  Config const& config() const { return m_held->config; }
  dchag::Range own_channels() const { return m_held->own; }

  void forward(Workspace& workspace, Context&, Image const& image, Tokens const& y) const {
    m_held->forward(workspace, image, y);
  }
  void backward(Workspace& workspace, Context const&, Image const& image, Tokens const& d_y, dchag::NoGradient) const {
    m_held->backward(workspace, image, d_y);
  }
  template <class F>
  void for_each_parameter(F const& f) {
    m_held->for_each_parameter([&](Parameter& parameter) { f(parameter); });
  }

private:
  struct Interface {
    Interface(Config const& of_model, dchag::Range own_channels) : config(of_model), own(own_channels) {}
    virtual ~Interface() = default;
    virtual void forward(Workspace& workspace, Image const& image, Tokens const& y) = 0;
    virtual void backward(Workspace& workspace, Image const& image, Tokens const& d_y) = 0;
    virtual void for_each_parameter(std::function<void(Parameter&)> const& f) = 0;
    Config config;
    dchag::Range own;
  };

  template <class Aggregator>
  struct Held final : Interface {
    explicit Held(Aggregator of_model)
        : Interface(
              {of_model.config().channels, of_model.config().patch, of_model.config().width, of_model.config().seed},
              of_model.own_channels()),
          aggregator(std::move(of_model)) {}
    void forward(Workspace& workspace, Image const& image, Tokens const& y) override {
      aggregator.forward(workspace, context, image, y);
    }
    void backward(Workspace& workspace, Image const& image, Tokens const& d_y) override {
      aggregator.backward(workspace, context, image, d_y, dchag::no_gradient);
    }
    void for_each_parameter(std::function<void(Parameter&)> const& f) override { aggregator.for_each_parameter(f); }

    Aggregator aggregator;
    typename Aggregator::Context context;
  };

  std::unique_ptr<Interface> m_held;
};

} // namespace hyperspectral
