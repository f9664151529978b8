// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/collectives.hpp>
#include <dchag/core/exact_text.hpp>
#include <dchag/core/hash.hpp>

#include <cstdint>
#include <optional>

/// \file
/// How ranks that may fail by themselves stay together.
///
/// Local work that may go wrong on one rank only, such as reading a file, is done inside `collectively`: all ranks then
/// fail together. What communicates stands outside of it. A rank that fails alone between the messages of others, since
/// it has no memory for instance, cannot tell them: they wait inside of a collective. Its error leaves everything up to
/// `run_main` (session.hpp), which prints the sentence and ends all ranks. `in_stage` puts into the sentence which rank
/// that was, and what it was about. What is thrown under a condition that all ranks see alike, `require_together` marks
/// as such, and a program ends in order.
namespace dchag::comm {

namespace detail {
/// What `in_stage` makes of an error of one rank alone; stages around it let it pass.
struct AloneError : Error {
  using Error::Error;
};

/// What `in_stage` makes of a lack of memory that all ranks throw; its sentence has the stage.
struct StagedMemoryError : CollectiveError<MemoryError> {
  using CollectiveError<MemoryError>::CollectiveError;
};

/// What went wrong on one rank, in a form that can be sent.
struct Failure {
  enum Kind { none, error, shape_error, comm_error, memory_error, damaged_error, system_error };
  int kind = none;
  std::string sentence;
};

/// The sentence of the exception that is being handled.
inline std::string current_sentence() {
  try {
    throw;
  } catch (std::bad_alloc const& error) {
    std::string_view const text = error.what(); // often the name of a type
    return text.find(' ') == text.npos ? "out of memory" : std::string(text);
  } catch (std::exception const& error) {
    std::string_view const text = error.what();
    return std::string(text.substr(0, text.find_last_not_of(" \n") + 1)); // Kokkos ends some with empty lines
  } catch (...) {
    return "something was thrown that is not a std::exception";
  }
}

/// Of the exception that is being handled; `stage` ends with ": " unless the sentence has a stage already.
inline std::string in_stage_sentence(Communicator const& communicator, std::string const& stage) {
  return concat("rank ", communicator.rank(), " of ", communicator.size(), ": ", stage, current_sentence());
}

template <class F>
Failure failure_of(F const& f) {
  try {
    f();
  } catch (MpiError const&) {
    throw;
  } catch (ShapeError const&) {
    return {Failure::shape_error, current_sentence()};
  } catch (CommError const&) {
    return {Failure::comm_error, current_sentence()};
  } catch (MemoryError const&) {
    return {Failure::memory_error, current_sentence()};
  } catch (std::bad_alloc const&) {
    return {Failure::memory_error, current_sentence()};
  } catch (DamagedError const&) {
    return {Failure::damaged_error, current_sentence()};
  } catch (SystemError const&) {
    return {Failure::system_error, current_sentence()};
  } catch (...) {
    return {Failure::error, current_sentence()};
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
  if (kind == Failure::memory_error) throw CollectiveError<MemoryError>(sentence, size);
  if (kind == Failure::damaged_error) throw CollectiveError<DamagedError>(sentence, size);
  if (kind == Failure::system_error) throw CollectiveError<SystemError>(sentence, size);
  throw CollectiveError<Error>(sentence, size);
}
} // namespace detail

/// Runs f on every rank and returns what it returned. If it threw on any of them, every rank throws the error of the
/// lowest that failed, as the same type of this library's errors, std::bad_alloc as MemoryError and all others as
/// Error; "rank 2 of 4: " is put before its sentence on ranks that did not fail with the same words themselves. For
/// what may go wrong on one rank only, such as reading a file. f itself must not communicate: a rank that throws would
/// wait here for others that wait for it there. An MPI call that fails in f all the same leaves at once.
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

/// Runs f, which communicates within a part of the communicator, a group of a mesh for instance, and returns if none
/// complained. What all ranks of a part throw together, and what the library's own checks throw of a rank's input
/// before anything is sent, all ranks of the communicator throw, as of `collectively`. Other errors, such as MPI's or a
/// lack of memory, leave at once: the rank's own group waits for it. Collective: as `collectively`.
template <class F>
void agree_between_groups(Communicator const& communicator, F const& f) {
  detail::Failure failure;
  try {
    f();
  } catch (ThrownTogether const&) {
    failure = detail::failure_of([] { throw; });
  } catch (MemoryError const&) {
    throw;
  } catch (CommError const&) {
    throw;
  } catch (Error const&) {
    failure = detail::failure_of([] { throw; });
  }
  detail::throw_together(communicator, failure);
}

/// Runs f, which may communicate, and returns what it returned. What this rank throws alone leaves as an Error "rank 1
/// of 4: building the model: out of memory", of the innermost stage. What all ranks of the communicator throw together
/// leaves as it is, but that a lack of memory on one of them says the innermost stage too. Sends nothing itself.
template <class F>
auto in_stage(Communicator const& communicator, std::string const& stage, F const& f)
    -> std::invoke_result_t<F const&> {
  try {
    return f();
  } catch (ThrownTogether const& together) {
    bool const staged = dynamic_cast<detail::StagedMemoryError const*>(&together) != nullptr;
    if (together.ranks != communicator.size())
      throw detail::AloneError(detail::in_stage_sentence(communicator, staged ? "" : stage + ": "));
    if (staged || dynamic_cast<MemoryError const*>(&together) == nullptr) throw;
    throw detail::StagedMemoryError(concat(stage, ": ", detail::current_sentence()), together.ranks);
  } catch (detail::AloneError const&) {
    throw;
  } catch (...) {
    throw detail::AloneError(detail::in_stage_sentence(communicator, stage + ": "));
  }
}

/// Throws an `ErrorType` with the parts as its sentence unless the condition holds, which is the same on every rank of
/// the communicator. Sends nothing.
template <class ErrorType, class... Parts>
void require_together(Communicator const& communicator, bool condition, Parts const&... parts) {
  if (!condition) throw detail::CollectiveError<ErrorType>(concat(parts...), communicator.size());
}

/// A named integer, floating-point number, bool or text.
struct Setting {
  template <class Value>
  Setting(std::string setting_name, Value const& setting_value)
      : name(std::move(setting_name)), value(exact_text(setting_value)),
        is_floating_point(std::is_floating_point_v<Value>) {}

  std::string name;
  std::string value;
  bool is_floating_point; ///< ranks that computed it may have rounded it differently
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
    auto const own_value = shortened(own.value);
    auto const contrary = own.name == name ? own_value : concat(shortened(own.name), " is ", own_value);
    throw detail::CollectiveError<CommError>(
        concat(where, ": ", shortened(name), " is ", shortened(value), " on rank 0 but ",
               detail::broadcast_text(communicator, contrary, odd), " on rank ", odd),
        size);
  }
}

/// The same for one value.
template <class Value>
void require_same(Communicator const& communicator, char const* where, char const* what, Value const& value) {
  require_same(communicator, where, {Setting(what, value)});
}

} // namespace dchag::comm
