// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/parts.hpp>
#include <dchag/core/workspace.hpp>
#include <dchag/layers/parameter.hpp>

namespace dchag::parallel {

namespace detail {
/// Keeps a reference to the communicator of the ranks that share a layer.
class SharedByRanks {
public:
  explicit SharedByRanks(comm::Communicator const& tensor) : m_tensor(&tensor) {}
  explicit SharedByRanks(comm::Communicator const&&) = delete;
  comm::Communicator const& communicator() const { return *m_tensor; }

private:
  comm::Communicator const* m_tensor;
};
} // namespace detail

/// Ranks share the heads and the hidden features of each block; norms and residuals are repeated on every rank.
///
/// Collective, in each block: forward two all-reduces of N D numbers, backward two. One rank sends nothing.
/// Source: Shoeybi et al. 2019 (Megatron-LM).
struct TensorParallel : detail::SharedByRanks {
  using SharedByRanks::SharedByRanks;
  static constexpr bool cuts_rows = false;
};

/// As `TensorParallel`, but norms, residuals and what they keep are shared too: each rank has its part of the N rows
/// between the products (`comm::own_part`; N need not be a multiple of P).
///
/// Collective, in each block: forward two all-gathers and two reduce-scatters of N D numbers, which together send what
/// two all-reduces do; backward four all-gathers, since the gathered rows are not kept, and two reduce-scatters. The
/// gradients of norms, position table and output biases are then partial: `sum_partial_gradients`.
/// Source: Korthikanti et al. 2022, section 4.2.
struct SequenceParallel : detail::SharedByRanks {
  using SharedByRanks::SharedByRanks;
  static constexpr bool cuts_rows = true;
};

template <class Form>
concept TensorParallelForm = std::same_as<Form, TensorParallel> || std::same_as<Form, SequenceParallel>;

/// This rank's share of `count` things that belong together, as heads or hidden features do.
/// Throws: ShapeError, the same on every rank, unless the ranks divide them.
inline Range own_share(comm::Communicator const& tensor, std::string const& name, char const* what, std::size_t count) {
  auto const ranks = static_cast<std::size_t>(tensor.size());
  require(count % ranks == 0, "TensorParallel: '", name, "' has ", count, " ", what,
          ", expected a multiple of the tensor-parallel ranks P = ", ranks);
  return comm::own_part(tensor, count);
}

/// Sums the gradients of which each rank of tensor parallelism has its share only, once per step, where there is no
/// `DataParallel` to do it. Replicated gradients stay as each rank computed them: on processors that round differently
/// they are not the same, and the parameters drift apart; `DataParallel` keeps them equal.
/// Collective: one all-reduce of the numbers of all such parameters; none if there is none, or one rank.
template <KokkosExecutionSpace ExecutionSpace, HasParameters Model>
void sum_partial_gradients(Workspace<ExecutionSpace>& workspace, comm::Communicator const& tensor, Model& model) {
  using T = typename Model::value_type;
  if (tensor.size() == 1) return;
  auto const& exec = workspace.exec();
  std::size_t count = 0;
  model.for_each_parameter([&](auto& parameter) { count += parameter.spec().partial_gradient ? parameter.size() : 0; });
  if (count == 0) return;
  auto frame = workspace.frame();
  auto const all = frame.template take<T, 1>({count});
  auto const for_each_piece = [&](auto const& f) {
    std::size_t begin = 0;
    model.for_each_parameter([&](auto& parameter) {
      if (!parameter.spec().partial_gradient) return;
      f(parameter.gradients(), Tensor<ExecutionSpace, T, 1>(all.data() + begin, parameter.size()));
      begin += parameter.size();
    });
  };
  for_each_piece([&](auto const& gradients, auto const& piece) { Kokkos::deep_copy(exec, piece, gradients); });
  comm::all_reduce(exec, tensor, all, comm::Reduce::sum);
  for_each_piece([&](auto const& gradients, auto const& piece) { Kokkos::deep_copy(exec, gradients, piece); });
}

} // namespace dchag::parallel
