// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/collectives.hpp>
#include <dchag/core/hash.hpp>

#include <charconv>
#include <cstdint>
#include <optional>

namespace dchag::comm {

/// Beside its own type, what an error carries that every rank of a communicator throws: such a program can end in
/// order.
struct ThrownTogether {
  explicit ThrownTogether(int size) : ranks(size) {}
  virtual ~ThrownTogether() = default;
  int ranks; ///< how many threw it
};

namespace detail {
template <class ErrorType>
struct CollectiveError : ErrorType, ThrownTogether {
  CollectiveError(std::string const& sentence, int size) : ErrorType(sentence), ThrownTogether(size) {}
};

/// What went wrong on one rank, in a form that can be sent.
struct Failure {
  enum Kind { none, error, shape_error, comm_error };
  int kind = none;
  std::string sentence;
};

template <class F>
Failure failure_of(F const& f) {
  try {
    f();
  } catch (ShapeError const& error) {
    return {Failure::shape_error, error.what()};
  } catch (CommError const& error) {
    return {Failure::comm_error, error.what()};
  } catch (std::exception const& error) {
    return {Failure::error, error.what()};
  } catch (...) {
    return {Failure::error, "something was thrown that is not a std::exception"};
  }
  return {};
}

inline std::string broadcast_text(Communicator const& communicator, std::string text, int root) {
  std::size_t length = text.size();
  mpi_broadcast(communicator, &length, 1, root);
  text.resize(length);
  mpi_broadcast(communicator, text.data(), length, root);
  return text;
}

/// Returns if no rank failed; throws the failure of the lowest rank that did on all of them otherwise.
inline void throw_together(Communicator const& communicator, Failure const& own) {
  int const size = communicator.size();
  int const first = all_reduce(communicator, own.kind == Failure::none ? size : communicator.rank(), Reduce::min);
  if (first == size) return;
  int kind = own.kind;
  mpi_broadcast(communicator, &kind, 1, first);
  auto sentence = broadcast_text(communicator, own.sentence, first);
  bool const own_words = own.kind != Failure::none && own.sentence == sentence;
  if (!own_words) sentence = concat("rank ", first, " of ", size, ": ", sentence);
  if (kind == Failure::shape_error) throw CollectiveError<ShapeError>(sentence, size);
  if (kind == Failure::comm_error) throw CollectiveError<CommError>(sentence, size);
  throw CollectiveError<Error>(sentence, size);
}

/// A value in as many digits as tell it from every other.
template <class Value>
std::string exact_text(Value const& value) {
  if constexpr (std::same_as<Value, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_arithmetic_v<Value>) {
    char digits[64] = {};
    auto const end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
    return std::string(digits, end);
  } else {
    return std::string(value);
  }
}
} // namespace detail

/// Runs f on every rank and returns what it returned. If it threw on any of them, every rank throws the error of the
/// lowest that failed, as ShapeError, CommError or (all others) Error; "rank 2 of 4: " is put before its sentence on
/// ranks that did not fail with the same words themselves. For what may go wrong on one rank only, such as reading a
/// file; f itself communicates only where all ranks do.
/// Collective: one all-reduce of one int; if it fails, three broadcasts besides.
template <class F>
auto collectively(Communicator const& communicator, F const& f) {
  using Result = std::invoke_result_t<F const&>;
  if constexpr (std::is_void_v<Result>) {
    detail::throw_together(communicator, detail::failure_of(f));
  } else {
    std::optional<Result> result;
    detail::throw_together(communicator, detail::failure_of([&] { result.emplace(f()); }));
    return Result(std::move(*result));
  }
}

/// A named integer, floating-point number, bool or text.
struct Setting {
  template <class Value>
  Setting(std::string setting_name, Value const& setting_value)
      : name(std::move(setting_name)), value(detail::exact_text(setting_value)) {}

  std::string name;
  std::string value;
};

/// Throws `CommError` "<where>: width is 8 on rank 0 but 4 on rank 2" on every rank unless all settings are the same on
/// all of them; names the first that differs and the lowest rank on which it does.
/// Collective: one all-reduce of 16 bytes (the ranks' hashes); more only to find out what differs.
inline void require_same(Communicator const& communicator, char const* where, std::vector<Setting> const& settings) {
  Hash hash;
  for (auto const& setting : settings)
    for (auto const* text : {&setting.name, &setting.value})
      for (std::size_t i = 0; i <= text->size(); ++i) // with the terminator, which keeps them apart
        hash.add(text->c_str()[i]);
  auto const least = all_reduce(communicator, std::vector<std::uint64_t>{hash.value(), ~hash.value()}, Reduce::min);
  if (least[0] == ~least[1]) return;

  int const size = communicator.size();
  auto const longest = all_reduce(communicator, settings.size(), Reduce::max);
  for (std::size_t i = 0; i < longest; ++i) {
    auto const own = i < settings.size() ? settings[i] : Setting(concat("setting ", i), "missing");
    auto const name = detail::broadcast_text(communicator, own.name, 0);
    auto const value = detail::broadcast_text(communicator, own.value, 0);
    bool const same = own.name == name && own.value == value;
    int const odd = all_reduce(communicator, same ? size : communicator.rank(), Reduce::min);
    if (odd == size) continue;
    auto const contrary = own.name == name ? own.value : concat(own.name, " is ", own.value);
    throw detail::CollectiveError<CommError>(concat(where, ": ", name, " is ", value, " on rank 0 but ",
                                                    detail::broadcast_text(communicator, contrary, odd), " on rank ",
                                                    odd),
                                             size);
  }
}

/// The same for one value.
template <class Value>
void require_same(Communicator const& communicator, char const* where, char const* what, Value const& value) {
  require_same(communicator, where, {Setting(what, value)});
}

} // namespace dchag::comm
