// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/layers/parameter.hpp>

#include <functional>
#include <map>
#include <support/arrays.hpp>

namespace dchag::test {

/// A model's numbers by the names of its parameters.
using Numbers = std::map<std::string, std::vector<double>>;

/// The flat index in the whole array of value i of those that a rank holds.
inline std::size_t index_in_whole(ParameterSpec const& spec, std::size_t i) {
  return spec.whole_index(spec.held().begin + i);
}

/// A parameter of any space and scalar, as numbers.
struct AnyParameter {
  ParameterSpec const* spec;
  std::function<std::vector<double>()> values, gradients;
  std::function<void(std::vector<double> const&)> assign_values;
};

template <KokkosExecutionSpace ExecutionSpace, Scalar T>
AnyParameter any_parameter(Parameter<ExecutionSpace, T> const& parameter) {
  return {&parameter.spec(), [&parameter] { return flat(parameter.values()); },
          [&parameter] { return flat(parameter.gradients()); },
          [&parameter](std::vector<double> const& values) { assign(parameter.values(), values); }};
}

/// A model's parameters. All that asks for them goes through here: a model is then visited by one function, and not by
/// one for each question, which took a seventh of what the compiler made of a room's tests.
template <class Model>
std::vector<AnyParameter> parameters_of(Model& model) {
  std::vector<AnyParameter> parameters;
  model.for_each_parameter([&](auto& parameter) { parameters.push_back(any_parameter(parameter)); });
  return parameters;
}

/// Gives every parameter normal values instead of its first ones: zeros and ones would hide errors. They depend on name
/// and global index only, as the first ones do.
inline void randomize(std::vector<AnyParameter> const& parameters, double deviation) {
  for (auto const& parameter : parameters) {
    Random const random(7, parameter.spec->name);
    std::vector<double> values(parameter.spec->held().size());
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = deviation * random.normal(index_in_whole(*parameter.spec, i));
    parameter.assign_values(values);
  }
}
template <class Model>
void randomize(Model& model, double deviation = 0.5) {
  randomize(parameters_of(model), deviation);
}

template <class Model>
Numbers values_of(Model& model) {
  Numbers numbers;
  for (auto const& parameter : parameters_of(model)) numbers[parameter.spec->name] = parameter.values();
  return numbers;
}

template <class Model>
Numbers gradients_of(Model& model) {
  Numbers numbers;
  for (auto const& parameter : parameters_of(model)) numbers[parameter.spec->name] = parameter.gradients();
  return numbers;
}

/// The part of the whole model's numbers that this model holds.
inline Numbers part_of(Numbers const& whole, std::vector<AnyParameter> const& parameters) {
  Numbers part;
  for (auto const& parameter : parameters) {
    auto const& values = whole.at(parameter.spec->name);
    for (std::size_t i = 0; i < parameter.spec->held().size(); ++i)
      part[parameter.spec->name].push_back(values.at(index_in_whole(*parameter.spec, i)));
  }
  return part;
}
template <class Model>
Numbers part_of(Numbers const& whole, Model& model) {
  return part_of(whole, parameters_of(model));
}

/// a times numbers.
inline Numbers scaled(double a, Numbers numbers) {
  for (auto& [name, values] : numbers)
    for (double& x : values) x *= a;
  return numbers;
}

/// Sum by name.
inline Numbers sum_of(Numbers a, Numbers const& b) {
  for (auto& [name, values] : a) values = sum_of(values, b.at(name));
  return a;
}

inline double largest_of(std::vector<double> const& values) {
  double largest = 0;
  for (double x : values) largest = std::max(largest, std::fabs(x));
  return largest;
}

/// The array that is farthest from what is expected.
struct WorstArray {
  double error = 0;
  std::string name = "no array";

  friend bool operator==(WorstArray const& a, double bound) { return a.error == bound; }
  friend bool operator<(WorstArray const& a, double bound) { return a.error < bound; }
  friend std::ostream& operator<<(std::ostream& text, WorstArray const& a) {
    return text << a.error << " in " << a.name;
  }
};

/// max |found - expected| / max |expected|, array by array. Where an array is zero but for rounding (the bias of the
/// keys cancels in the softmax), it is measured by a tenth of the largest array.
inline WorstArray worst_error(Numbers const& found, Numbers const& expected) {
  double largest = 0;
  for (auto const& [name, values] : expected) largest = std::max(largest, largest_of(values));
  if (found.size() != expected.size())
    return {std::numeric_limits<double>::infinity(), concat(found.size(), " arrays of ", expected.size())};
  WorstArray worst;
  for (auto const& [name, values] : expected) {
    if (!found.count(name)) return {std::numeric_limits<double>::infinity(), name + ", which is missing"};
    auto const absolute =
        relative_error(found.at(name), values).error * (largest_of(values) > 0 ? largest_of(values) : 1);
    double const scale = std::max({largest_of(values), largest / 10, 1e-300});
    if (absolute / scale > worst.error) worst = {absolute / scale, name};
  }
  return worst;
}

} // namespace dchag::test
