// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/layers/parameter.hpp>

#include <map>
#include <support/arrays.hpp>

namespace dchag::test {

/// A model's numbers by the names of its parameters.
using Numbers = std::map<std::string, std::vector<double>>;

/// The flat index in the whole array of value i of those that a rank holds.
inline std::size_t index_in_whole(ParameterSpec const& spec, std::size_t i) {
  return spec.whole_index(spec.held().begin + i);
}

/// Gives every parameter normal values instead of its first ones: zeros and ones would hide errors. They depend on name
/// and global index only, as the first ones do.
template <class Model>
void randomize(Model& model, double deviation = 0.5) {
  model.for_each_parameter([&](auto& parameter) {
    Random const random(7, parameter.name());
    std::vector<double> values(parameter.size());
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = deviation * random.normal(index_in_whole(parameter.spec(), i));
    assign(parameter.values(), values);
  });
}

template <class Model>
Numbers values_of(Model& model) {
  Numbers numbers;
  model.for_each_parameter([&](auto& parameter) { numbers[parameter.name()] = flat(parameter.values()); });
  return numbers;
}

template <class Model>
Numbers gradients_of(Model& model) {
  Numbers numbers;
  model.for_each_parameter([&](auto& parameter) { numbers[parameter.name()] = flat(parameter.gradients()); });
  return numbers;
}

/// The part of the whole model's numbers that this model holds.
template <class Model>
Numbers part_of(Numbers const& whole, Model& model) {
  Numbers part;
  model.for_each_parameter([&](auto& parameter) {
    auto const& values = whole.at(parameter.name());
    for (std::size_t i = 0; i < parameter.size(); ++i)
      part[parameter.name()].push_back(values.at(index_in_whole(parameter.spec(), i)));
  });
  return part;
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
