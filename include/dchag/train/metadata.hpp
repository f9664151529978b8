// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/agree.hpp>
#include <dchag/train/safetensors.hpp>

#include <initializer_list>
#include <set>

namespace dchag {

/// What a checkpoint says besides its tensors: numbers, flags and texts by name, kept as texts that give back the same
/// value.
///
///     Metadata const metadata{{"step", 42}, {"rate", 1e-3}, {"data", "neon"}};
///     metadata.get<std::size_t>("step");
class Metadata {
public:
  Metadata() = default;
  Metadata(std::initializer_list<comm::Setting> settings) : Metadata(std::vector<comm::Setting>(settings)) {}
  explicit Metadata(std::vector<comm::Setting> const& settings) {
    for (auto const& setting : settings) {
      require<Error>(m_texts.emplace(setting.name, setting.value).second, "Metadata: '", shortened(setting.name),
                     "' is there twice");
      if (setting.is_floating_point) m_floating_point.insert(setting.name);
    }
  }
  explicit Metadata(Texts texts) : m_texts(std::move(texts)) {}

  Texts const& texts() const { return m_texts; }
  /// Whether it was given as a floating-point number, which each rank may have rounded in its own way.
  bool is_floating_point(std::string const& name) const { return m_floating_point.count(name) == 1; }
  bool contains(std::string const& name) const { return m_texts.count(name) == 1; }

  /// A number, bool or std::string.
  /// Throws: Error if there is none of this name, or its text is no such value.
  template <class Value>
  Value get(std::string const& name) const {
    auto const found = m_texts.find(name);
    require<Error>(found != m_texts.end(), "Metadata: there is no '", shortened(name), "'");
    return from_exact_text<Value>(concat("Metadata: '", shortened(name), "'"), found->second);
  }

private:
  Texts m_texts;
  std::set<std::string> m_floating_point;
};

} // namespace dchag
