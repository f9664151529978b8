// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/train/detail/checkpoint_match.hpp>

namespace dchag::detail {

/// Reads arrays out of files, many short runs at a time.
class RunReader {
public:
  explicit RunReader(StoredFiles const& stored) : m_stored(stored), m_open(stored.files.size()) {}

  void read(Wanted const& wanted) {
    m_runs.clear();
    std::size_t begin = 0; // of the part in the whole array
    for (auto const& part : wanted.parts) {
      if (part.array != nullptr)
        for (auto const& there : part.array->parts) add_overlaps(wanted.array->piece, begin, part.values, there);
      begin += part.values.size();
    }
    std::ranges::sort(m_runs,
                      [](Run const& a, Run const& b) { return a.file != b.file ? a.file < b.file : a.byte < b.byte; });
    wanted.array->write([&](void* values) {
      if (wanted.array->dtype == DType::f32)
        fill(static_cast<float*>(values));
      else
        fill(static_cast<double*>(values));
    });
  }

private:
  /// Numbers that are contiguous in a file and in the array.
  struct Run {
    std::size_t file, byte, count, local;
    DType dtype;

    std::size_t bytes() const { return count * size_of(dtype); }
  };

  // Values [begin, begin + values.size()) of the whole array are `values` of the stored array, a part of which is
  // there.
  void add_overlaps(Piece const& piece, std::size_t begin, Range values, StoredArray::Part const& there) {
    std::size_t i = 0, j = 0;
    while (i < piece.size() && j < there.piece.size()) {
      auto const own = piece.run_at(i);
      std::size_t const from = (std::max)(own.whole, begin);
      std::size_t const to = (std::min)(own.whole + own.size, begin + values.size());
      if (own.whole >= begin + values.size()) return;
      if (from >= to) {
        i += own.size;
        continue;
      }
      auto const stored = there.piece.run_at(j);
      std::size_t const shift = values.begin - begin; // modulo 2^64
      std::size_t const first = (std::max)(from + shift, stored.whole);
      std::size_t const last = (std::min)(to + shift, stored.whole + stored.size);
      if (first < last)
        add(there, stored.local + (first - stored.whole), last - first, own.local + (first - shift - own.whole));
      if (to + shift <= stored.whole + stored.size)
        i += own.size;
      else
        j += stored.size;
    }
  }

  void add(StoredArray::Part const& there, std::size_t value, std::size_t count, std::size_t local) {
    std::size_t const size = size_of(there.tensor.dtype);
    for (std::size_t done = 0; done < count; done += most / size) {
      std::size_t const now = (std::min)(count - done, most / size);
      m_runs.push_back({there.file, there.tensor.begin + (value + done) * size, now, local + done, there.tensor.dtype});
    }
  }

  // Runs that are near each other are read at once, with what is between them.
  template <class T>
  void fill(T* values) {
    for (std::size_t i = 0; i < m_runs.size();) {
      std::size_t const begin = m_runs[i].byte;
      std::size_t end = begin;
      std::size_t next = i;
      for (; next < m_runs.size(); ++next) {
        auto const& run = m_runs[next];
        std::size_t const reach = (std::max)(end, run.byte + run.bytes());
        if (run.file != m_runs[i].file || reach - begin > most || (next > i && run.byte > end + gap)) break;
        end = reach;
      }
      m_bytes.resize(end - begin);
      open(m_runs[i].file).read(begin, m_bytes.data(), m_bytes.size());
      for (; i < next; ++i)
        convert(m_runs[i].dtype, m_bytes.data() + (m_runs[i].byte - begin), m_runs[i].count, values + m_runs[i].local);
    }
  }

  File const& open(std::size_t file) {
    if (!m_open[file]) {
      if (m_count == most_open) { // a process may have few files open, and a checkpoint thousands
        for (auto& other : m_open) other.reset();
        m_count = 0;
      }
      m_open[file] = File::read(m_stored.files[file].path);
      ++m_count;
    }
    return *m_open[file];
  }

  static constexpr std::size_t most = std::size_t{4} << 20; // bytes read at once
  static constexpr std::size_t gap = std::size_t{1} << 14;  // bytes between two runs that are read in vain

  static constexpr std::size_t most_open = 64;

  StoredFiles const& m_stored;
  std::vector<std::optional<File>> m_open;
  std::size_t m_count = 0; // of those that are open
  std::vector<Run> m_runs;
  std::vector<char> m_bytes;
};

} // namespace dchag::detail
