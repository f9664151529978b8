// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/agree.hpp>
#include <dchag/train/safetensors.hpp>

#include <initializer_list>

namespace dchag {

/// What a checkpoint says besides its tensors: numbers, flags and texts by name, kept as texts that give back the same
/// value.
///
///     Metadata const metadata{{"step", 42}, {"rate", 1e-3}, {"data", "neon"}};
///     metadata.get<std::size_t>("step");
class Metadata {
public:
  Metadata() = default;
  Metadata(std::initializer_list<comm::Setting> settings) {
    for (auto const& setting : settings)
      require<Error>(m_texts.emplace(setting.name, setting.value).second, "Metadata: '", shortened(setting.name),
                     "' is there twice");
  }
  explicit Metadata(Texts texts) : m_texts(std::move(texts)) {}

  Texts const& texts() const { return m_texts; }
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
};

} // namespace dchag
