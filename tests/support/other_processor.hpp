// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <Eigen/Core>

namespace dchag::test {

/// Whether products on the host are Eigen's, and so change with the caches that it knows.
#if defined(DCHAG_HOST_GEMM_ONEDNN) || defined(DCHAG_HOST_GEMM_CBLAS)
constexpr bool products_are_of_eigen = false;
#else
constexpr bool products_are_of_eigen = true;
#endif

/// While it lives, this rank computes products as on a processor with small caches, if `other`: sums are cut into other
/// blocks and rounded differently, as on two kinds of nodes in one run.
class OtherProcessor {
public:
  explicit OtherProcessor(bool other) {
    if (other) Eigen::setCpuCacheSizes(8 * 1024, 64 * 1024, 512 * 1024);
  }
  OtherProcessor(OtherProcessor const&) = delete;
  OtherProcessor& operator=(OtherProcessor const&) = delete;
  ~OtherProcessor() { Eigen::setCpuCacheSizes(m_first, m_second, m_third); }

private:
  std::ptrdiff_t m_first = Eigen::l1CacheSize(), m_second = Eigen::l2CacheSize(), m_third = Eigen::l3CacheSize();
};

} // namespace dchag::test
