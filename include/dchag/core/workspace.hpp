// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>
#include <dchag/core/scratch_bytes.hpp>
#include <dchag/core/tensor.hpp>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace dchag {

/// An execution-space instance together with the scratch memory that work on it needs: a stack of buffers that grows in
/// the first step and is then reused, so that a step in steady state allocates no View.
///
/// Scratch is taken from a Frame and given back when the frame ends. Kernels on the same instance run in order, so
/// memory given back may be taken again before they have finished. One workspace serves one host thread.
template <KokkosExecutionSpace ExecutionSpace>
class Workspace {
public:
  explicit Workspace(ExecutionSpace const& exec = ExecutionSpace()) : m_exec(exec) {}
  Workspace(Workspace const&) = delete;
  Workspace& operator=(Workspace const&) = delete;

  ExecutionSpace const& exec() const { return m_exec; }

  /// Everything taken through this object is given back at the end of its scope.
  class Frame {
  public:
    explicit Frame(Workspace& workspace)
        : m_workspace(workspace), m_block(workspace.m_block), m_used(workspace.m_used), m_held(workspace.m_held),
          m_depth(++workspace.m_frames) {}
    Frame(Frame const&) = delete;
    Frame& operator=(Frame const&) = delete;
    ~Frame() {
      m_workspace.m_block = m_block;
      m_workspace.m_used = m_used;
      m_workspace.m_held = m_held;
      --m_workspace.m_frames;
    }

    /// A tensor of unspecified content, aligned to 128 bytes, valid as long as this frame. Only the innermost frame is
    /// taken from: an inner one would give its memory back too.
    template <class T, std::size_t Rank>
    Tensor<ExecutionSpace, T, Rank> take(Extents<Rank> const& extents) {
      require<Error>(m_workspace.m_frames == m_depth, "Workspace: frame ", m_depth, " is taken from inside frame ",
                     m_workspace.m_frames, ", expected the innermost one");
      std::size_t bytes = sizeof(T);
      for (auto n : extents) bytes *= n;
      return detail::make_view<Tensor<ExecutionSpace, T, Rank>>(static_cast<T*>(m_workspace.take_bytes(bytes)), extents,
                                                                std::make_index_sequence<Rank>());
    }

  private:
    Workspace& m_workspace;
    std::size_t m_block, m_used, m_held;
    int m_depth;
  };

  [[nodiscard]] Frame frame() {
    if (m_frames == 0 && m_blocks.size() > 1) merge_blocks();
    return Frame(*this);
  }

  /// The most bytes that were taken at one time.
  std::size_t peak_bytes() const { return m_peak; }

private:
  using Block = Kokkos::View<char*, typename ExecutionSpace::memory_space>;
  static constexpr std::size_t alignment = scratch_alignment;

  Block new_block(std::size_t bytes) {
    std::string const label = "dchag::core::workspace";
    return detail::allocated(label, static_cast<double>(bytes), [&] {
      return Block(Kokkos::view_alloc(m_exec, Kokkos::WithoutInitializing, label), bytes + alignment);
    });
  }

  // Once nothing is taken, the blocks that growth left behind become one that holds the largest need seen.
  void merge_blocks() {
    m_exec.fence();
    m_blocks.clear();
    m_blocks.push_back(new_block(m_peak));
  }

  static std::size_t offset_of_first(Block const& block) {
    auto const address = reinterpret_cast<std::uintptr_t>(block.data());
    return (alignment - address % alignment) % alignment;
  }

  void* take_bytes(std::size_t bytes) {
    bytes = scratch_bytes(bytes);
    while (m_block < m_blocks.size()) {
      auto const& block = m_blocks[m_block];
      std::size_t const begin = offset_of_first(block) + m_used;
      if (begin + bytes <= block.extent(0)) {
        m_used += bytes;
        m_held += bytes;
        m_peak = (std::max)(m_peak, m_held);
        return block.data() + begin;
      }
      ++m_block;
      m_used = 0;
    }
    m_blocks.push_back(new_block((std::max)(bytes, m_peak / 2)));
    return take_bytes(bytes);
  }

  ExecutionSpace m_exec;
  std::vector<Block> m_blocks;
  std::size_t m_block = 0; // the block that is taken from
  std::size_t m_used = 0;  // bytes taken of it
  std::size_t m_held = 0;  // bytes taken of all
  std::size_t m_peak = 0;
  int m_frames = 0;
};

} // namespace dchag
