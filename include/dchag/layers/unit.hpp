// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <exception>

namespace dchag {

/// Is told when a unit's work begins and ends; for what keeps a model's parameters elsewhere, or sends their gradients
/// away as soon as they are whole.
class UnitObserver {
public:
  virtual void before_forward(std::size_t unit) = 0;
  virtual void after_forward(std::size_t unit) = 0;
  virtual void before_backward(std::size_t unit) = 0;
  virtual void after_backward(std::size_t unit) = 0;

protected:
  ~UnitObserver() = default;
};

/// A part of a model whose parameters are used together and then not again before the backward pass, such as one block
/// of an encoder. A model marks the use of its units and names them through
///
///     template <class F> void for_each_unit(F const& f);   // f(Unit&, layer with for_each_parameter)
///
/// in the order of the forward pass. What it names in none of them is in use from the first to the last unit's.
/// Nobody observes a unit unless asked to, and its marks then cost nothing.
class Unit {
public:
  /// Between its construction and its end the unit's parameters hold their values, and gradients are taken up.
  class Use {
  public:
    using Event = void (UnitObserver::*)(std::size_t);
    Use(UnitObserver* observer, std::size_t unit, Event before, Event after)
        : m_observer(observer), m_unit(unit), m_after(after) {
      if (m_observer) (m_observer->*before)(m_unit);
    }
    Use(Use const&) = delete;
    Use& operator=(Use const&) = delete;
    /// An exception on its way out ends the run: other ranks wait for nothing more.
    ~Use() noexcept(false) {
      if (m_observer && std::uncaught_exceptions() == m_exceptions) (m_observer->*m_after)(m_unit);
    }

  private:
    UnitObserver* m_observer;
    std::size_t m_unit;
    Event m_after;
    int m_exceptions = std::uncaught_exceptions();
  };

  [[nodiscard]] Use in_forward() const {
    return Use(m_observer, m_index, &UnitObserver::before_forward, &UnitObserver::after_forward);
  }
  [[nodiscard]] Use in_backward() const {
    return Use(m_observer, m_index, &UnitObserver::before_backward, &UnitObserver::after_backward);
  }

  /// The observer must outlive the use of the model, which must not be moved from now on; nullptr ends it.
  void attach(UnitObserver* observer, std::size_t index) {
    m_observer = observer;
    m_index = index;
  }

private:
  UnitObserver* m_observer = nullptr;
  std::size_t m_index = 0;
};

} // namespace dchag
