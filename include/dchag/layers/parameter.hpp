// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/core/random.hpp>
#include <dchag/core/range.hpp>
#include <dchag/layers/deferred.hpp>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

namespace dchag {

/// Whether every rank holds the same copy of a parameter, or each rank a part of its own.
enum class Placement { replicated, distributed };

/// What a parameter is called, how large it is and how it is treated: all that is known without its values.
///
/// A rank may hold a part of a parameter only. The part is a box of the whole array, cut out by tensor parallelism, and
/// of that box, in its own row-major order, a contiguous run of values, cut out by sharding.
struct ParameterSpec {
  std::string name;                            ///< unique in the model, the same for every number of ranks
  std::vector<std::size_t> shape;              ///< of the box
  bool decay = false;                          ///< weight decay applies to it (matrices, not biases or norms)
  Placement placement = Placement::replicated; ///< over the ranks of tensor parallelism
  std::vector<std::size_t> whole = {};         ///< shape of the whole array; if empty, the box is the whole
  std::vector<std::size_t> begin = {};         ///< of the box in the whole, along each axis; if empty, zeros
  bool partial_gradient = false; ///< the gradient is the sum over the ranks of tensor parallelism of what each computes
  Range run = {};                ///< of the box's values; if empty, all of them
  Range channels = {}; ///< of the model, to which the leading axis of the whole belongs, in order, each to equally many
                       ///< of its indices; if empty, it belongs to no channels

  /// Numbers in the box, and in the whole.
  std::size_t box_size() const { return product(shape); }
  std::size_t whole_size() const { return whole.empty() ? box_size() : product(whole); }
  std::vector<std::size_t> const& whole_shape() const { return whole.empty() ? shape : whole; }

  /// Which values of the box this rank holds.
  Range held() const { return run.size() > 0 ? run : Range{0, box_size()}; }

  /// The flat index in the whole of value i of the box.
  std::size_t whole_index(std::size_t i) const {
    if (whole.empty()) return i;
    std::size_t index = 0;
    std::size_t stride = 1;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      index += (i % shape[axis] + (begin.empty() ? 0 : begin[axis])) * stride;
      i /= shape[axis];
      stride *= whole[axis];
    }
    return index;
  }

private:
  static std::size_t product(std::vector<std::size_t> const& extents) {
    std::size_t count = 1;
    for (auto n : extents) count *= n;
    return count;
  }
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

  /// The value of flat index i of the whole array begins as `initial(i)`, the gradient as zero: now, or inside of
  /// `deferred` (layers/deferred.hpp) when the parameter is given memory. Until then it keeps `initial`, which must not
  /// refer to what is gone by then. Throws: Error if there is no function.
  Parameter(ExecutionSpace const& exec, ParameterSpec parameter_spec, std::function<double(std::size_t)> initial)
      : m_spec(std::move(parameter_spec)), m_initial(std::move(initial)) {
    require<Error>(is_deferred(), "Parameter: ", name(), " has no initial values, expected a function");
    if (!detail::Deferral::in_force()) materialize(exec);
  }

  /// A parameter whose values and gradients belong to somebody else.
  Parameter(ParameterSpec parameter_spec, Values const& values, Values const& gradients)
      : m_spec(std::move(parameter_spec)), m_values(values), m_gradients(gradients) {}

  /// Whether it was made by `deferred` and has no memory yet: values and gradients are empty.
  bool is_deferred() const { return m_initial != nullptr; }

  /// Ends the deferral with memory of its own: allocates, with initial values and gradients of zero. Does nothing to a
  /// parameter that is not deferred.
  void materialize(ExecutionSpace const& exec) {
    if (!is_deferred()) return;
    Extents<1> const held{size()};
    auto const values = allocate<T>(exec, "dchag::parameter::" + name(), held);
    auto const gradients = allocate<T>(exec, "dchag::gradient::" + name(), held);
    write_initial(exec, {0, size()}, values);
    Kokkos::deep_copy(exec, gradients, T(0));
    exec.fence();
    bind(values, gradients);
  }

  /// What value i of those that this rank holds begins as. Throws: Error unless the parameter is deferred.
  double initial_value(std::size_t i) const {
    require<Error>(is_deferred(), "Parameter: ", name(), " has forgotten how it begins, expected a deferred one");
    return m_initial(m_spec.whole_index(m_spec.held().begin + i));
  }

  /// Writes the initial values of those in `run` of the values that this rank holds. They are there on return.
  /// Shapes: values (run.size()). Throws: as initial_value; ShapeError.
  void write_initial(ExecutionSpace const& exec, Range run, Values const& values) const {
    require(run.end <= size(), "Parameter::write_initial: run of ", name(), " ends at ", run.end, ", expected at most ",
            size());
    require_shape("Parameter::write_initial", "values", values, {run.size()});
    exec.fence(); // on a host it is written to below
    auto const host = Kokkos::create_mirror_view(values);
    for (std::size_t i = 0; i < run.size(); ++i) host(i) = static_cast<T>(initial_value(run.begin + i));
    Kokkos::deep_copy(exec, values, host);
    exec.fence();
  }

  /// From now on the values and gradients are these: where a model is sharded, memory that is filled before they are
  /// used. With empty ones, the parameter holds nothing. It is deferred no longer.
  void bind(Values const& values, Values const& gradients) {
    m_values = values;
    m_gradients = gradients;
    m_initial = nullptr;
  }

  ParameterSpec const& spec() const { return m_spec; }
  std::string const& name() const { return m_spec.name; }
  std::size_t size() const { return m_spec.held().size(); }

  /// All values and gradients that this rank holds, flat.
  Values const& values() const { return m_values; }
  Values const& gradients() const { return m_gradients; }

  /// The values (gradients) of the whole box under its extents, or others of as many numbers.
  /// Throws: ShapeError unless all are there.
  template <std::size_t Rank>
  Tensor<ExecutionSpace, T, Rank> value() const {
    return value(extents<Rank>());
  }
  template <std::size_t Rank>
  Tensor<ExecutionSpace, T, Rank> value(Extents<Rank> const& extents) const {
    return reshape<Rank>(all_of("values", m_values), extents);
  }
  template <std::size_t Rank>
  Tensor<ExecutionSpace, T, Rank> gradient() const {
    return gradient(extents<Rank>());
  }
  template <std::size_t Rank>
  Tensor<ExecutionSpace, T, Rank> gradient(Extents<Rank> const& extents) const {
    return reshape<Rank>(all_of("gradients", m_gradients), extents);
  }

private:
  Values const& all_of(char const* what, Values const& numbers) const {
    require(numbers.size() == m_spec.box_size(), "Parameter: ", name(), is_deferred() ? ", deferred," : "", " holds ",
            numbers.size(), " ", what, ", expected ", m_spec.box_size());
    return numbers;
  }

  template <std::size_t Rank>
  Extents<Rank> extents() const {
    KOKKOS_ASSERT(m_spec.shape.size() == Rank);
    Extents<Rank> result{};
    for (std::size_t axis = 0; axis < Rank; ++axis) result[axis] = m_spec.shape[axis];
    return result;
  }

  ParameterSpec m_spec;
  std::function<double(std::size_t)> m_initial; // of flat indices of the whole array; none unless deferred
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
/// Of a feature of a position: sines in the first half of the features, cosines in the second, with frequencies from 1
/// down to 1 / 10000. Source: Vaswani et al. 2017.
inline double sine_cosine(double position, std::size_t feature, std::size_t width) {
  std::size_t const half = (width + 1) / 2;
  double const exponent = static_cast<double>(feature % half) / static_cast<double>(half);
  double const angle = position / std::pow(10000.0, exponent);
  return feature < half ? std::sin(angle) : std::cos(angle);
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
