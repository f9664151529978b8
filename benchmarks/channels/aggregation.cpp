// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "benchmarks/support/aggregators.hpp"
#include "benchmarks/support/kept.hpp"
#include "benchmarks/support/measure.hpp"
#include "benchmarks/support/times.hpp"

namespace dchag::bench {
namespace {

/// A case that has run once, so that the workspace has its size, and what it holds.
template <class Aggregator>
struct WarmCase : AggregationCase<Aggregator> {
  WarmCase(Sizes const& sizes, Aggregator aggregator) : AggregationCase<Aggregator>(sizes, std::move(aggregator)) {
    this->step();
    held = this->count_held();
  }
  std::size_t held;
};

/// A step of this model, and as `speedup` the time of `reference` in this run by its own.
template <class Model>
void add_model(std::string const& title, std::string const& reference, Sizes const& sizes, Model const& model) {
  using Case = WarmCase<typename Model::Aggregator>;
  auto const name = concat(title, '/', sizes.name);
  auto const compared = concat(reference, '/', sizes.name);
  add(name, [=](benchmark::State& state) {
    auto& work = kept<Case>(name, [&] { return new Case(sizes, model.make(sizes)); });
    auto const cost = model.cost(sizes);
    double const seconds =
        measure<T>(state, sizes.label(), {cost.operations, work.held, cost.sent()}, [&] { work.step(); });
    times().note(name, seconds, state.iterations());
    state.counters["speedup"] = times().of(compared) / seconds;
  });
}

/// All that compute the function of one module over all channels.
void add_flat(Sizes const& sizes) {
  auto const reference = "flat/materialized";
  add_model(reference, reference, sizes, Flat<Materialized>());
  add_model("flat/fused", reference, sizes, Flat());
  add_model("flat/fused_tokens", reference, sizes, Flat{.pooling = {.values = ops::Values::tokens}});
  add_model("flat/fused_pixels", reference, sizes, Flat{.pooling = {.values = ops::Values::pixels}});
  add_model("exact", reference, sizes, Exact());
  add_model("tokens", reference, sizes, Tokens());
}

// At least two, so that one rank runs the model of two.
std::size_t groups() {
  return std::max<std::size_t>(2, rank_count());
}

template <class Policy>
void add_grouped(std::string const& title, Sizes const& sizes) {
  auto const reference = title + "/materialized";
  add_model(reference, reference, sizes, Grouped<Policy, Materialized>{groups});
  add_model(title + "/fused", reference, sizes, Grouped<Policy>{groups});
}

template <class Layer>
void add_trees(std::string const& letter, Sizes const& sizes) {
  add_grouped<Tree<Layer>>(letter + "/Tree0", sizes);
  add_model(letter + "/Tree0/fused_shared", letter + "/Tree0/materialized", sizes,
            Grouped<Tree<Layer>, Fused, HeadShared>{groups}); // the final module's heads among the ranks
  add_grouped<Tree<Layer, 2>>(letter + "/Tree2", sizes);
  add_grouped<Tree<Layer, 4>>(letter + "/Tree4", sizes);
  add_grouped<Tree<Layer, 8>>(letter + "/Tree8", sizes);
}

bool const registered = [] {
  for (auto const& sizes : all_sizes) {
    add_flat(sizes);
    add_trees<CrossAttention>("C", sizes);
    add_trees<Linear>("L", sizes);
  }
  return true;
}();

} // namespace
} // namespace dchag::bench
