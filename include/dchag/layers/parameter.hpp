// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/random.hpp>
#include <dchag/core/tensor.hpp>

#include <functional>
#include <string>
#include <vector>

namespace dchag {

/// Whether every rank holds the same copy of a parameter, or each rank a part of its own.
enum class Placement { replicated, distributed };

/// What a parameter is called, how large it is and how it is treated: all that is known without its values.
struct ParameterSpec {
  std::string name;               ///< unique in the model, the same for every number of ranks
  std::vector<std::size_t> shape; ///< of the part that this rank holds
  bool decay = false;             ///< weight decay applies to it (matrices, not biases or norms)
  Placement placement = Placement::replicated;
  std::size_t first_index = 0; ///< flat index of this part's first value in the whole parameter
};

/// A learnable array and its gradient. Layers add to the gradient; whoever uses it clears it.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class Parameter {
public:
  using Values = Tensor<ExecutionSpace, T, 1>;

  Parameter() = default;
  Parameter(Parameter&&) = default;
  Parameter& operator=(Parameter&&) = default;
  Parameter(Parameter const&) = delete; ///< a copy would share the values and look like a model of its own
  Parameter& operator=(Parameter const&) = delete;

  /// Allocates, and sets the value of flat global index i to `initial(i)`; the gradient starts at zero.
  Parameter(ExecutionSpace const& exec, ParameterSpec parameter_spec, std::function<double(std::size_t)> const& initial)
      : m_spec(std::move(parameter_spec)) {
    std::size_t count = 1;
    for (auto n : m_spec.shape) count *= n;
    m_values = allocate<T>(exec, "dchag::parameter::" + m_spec.name, Extents<1>{count});
    m_gradients = allocate<T>(exec, "dchag::gradient::" + m_spec.name, Extents<1>{count});
    auto const host = Kokkos::create_mirror_view(m_values);
    for (std::size_t i = 0; i < count; ++i) host(i) = static_cast<T>(initial(m_spec.first_index + i));
    Kokkos::deep_copy(exec, m_values, host);
    Kokkos::deep_copy(exec, m_gradients, T(0));
    exec.fence();
  }

  ParameterSpec const& spec() const { return m_spec; }
  std::string const& name() const { return m_spec.name; }
  std::size_t size() const { return m_values.extent(0); }

  /// All values and gradients, flat.
  Values const& values() const { return m_values; }
  Values const& gradients() const { return m_gradients; }

  /// The values (gradients) under the parameter's own extents.
  template <std::size_t Rank>
  Tensor<ExecutionSpace, T, Rank> value() const {
    return reshape<Rank>(m_values, extents<Rank>());
  }
  template <std::size_t Rank>
  Tensor<ExecutionSpace, T, Rank> gradient() const {
    return reshape<Rank>(m_gradients, extents<Rank>());
  }

private:
  template <std::size_t Rank>
  Extents<Rank> extents() const {
    KOKKOS_ASSERT(m_spec.shape.size() == Rank);
    Extents<Rank> result{};
    for (std::size_t axis = 0; axis < Rank; ++axis) result[axis] = m_spec.shape[axis];
    return result;
  }

  ParameterSpec m_spec;
  Values m_values;
  Values m_gradients;
};

/// How parameters begin: functions of the flat global index, so that every number of ranks starts from the same model.
namespace initial {
inline std::function<double(std::size_t)> constant(double value) {
  return [value](std::size_t) { return value; };
}
/// Normal with this standard deviation, cut at twice of it.
inline std::function<double(std::size_t)> truncated_normal(std::uint64_t seed, std::string const& name,
                                                           double deviation = 0.02) {
  return [random = Random(seed, name), deviation](std::size_t i) { return deviation * random.truncated_normal(i); };
}
/// Uniform in [-bound, bound).
inline std::function<double(std::size_t)> uniform(std::uint64_t seed, std::string const& name, double bound) {
  return [random = Random(seed, name), bound](std::size_t i) { return bound * (2 * random.uniform(i) - 1); };
}
} // namespace initial

namespace detail {
/// A visitor of parameters; named, since nvcc does not take a generic lambda in a concept.
struct AnyParameter {
  template <class P>
  void operator()(P&) const {}
};
} // namespace detail

/// Everything that holds parameters. Optimizer and tests see a model only through this.
template <class L>
concept HasParameters = requires(L& layer) {
  layer.for_each_parameter(detail::AnyParameter{});
};

/// Sets every gradient to zero.
template <KokkosExecutionSpace ExecutionSpace, HasParameters Model>
void clear_gradients(ExecutionSpace const& exec, Model& model) {
  using value_type = typename Model::value_type;
  model.for_each_parameter([&](auto& parameter) { Kokkos::deep_copy(exec, parameter.gradients(), value_type(0)); });
}

/// Numbers in all parameters of this rank.
template <HasParameters Model>
std::size_t parameter_count(Model& model) {
  std::size_t count = 0;
  model.for_each_parameter([&](auto& parameter) { count += parameter.size(); });
  return count;
}

} // namespace dchag
