// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/comm/collectives.hpp>
#include <dchag/models/masked_autoencoder.hpp>
#include <dchag/train/adamw.hpp>
#include <dchag/train/checkpoint.hpp>
#include <dchag/train/clipping.hpp>

#include <doctest/doctest.h>

#include <support/aggregation.hpp>
#include <support/allocations.hpp>
#include <support/gradient_check.hpp>
#include <support/parameters.hpp>
#include <support/sentence.hpp>
#include <support/spaces.hpp>
#include <support/temporary_folder.hpp>

namespace models_masked_autoencoder {

using namespace dchag;
using namespace dchag::test;

namespace {

constexpr std::size_t channels = 13, groups = 12, height = 6, width = 8, patch = 2, positions = 12;

/// How a trial differs from the others.
struct Variant {
  std::vector<std::string> names = {};  // of the channels
  std::vector<std::size_t> planes = {}; // of the image with all channels, in the model's order; if empty, as they are
  std::size_t heads = 2;
  double norm_epsilon = layers::default_norm_epsilon;
};

/// A small model at work on random images of which each rank has its own planes.
template <class Space, class T>
class Trial {
public:
  using Aggregator = DistributedAggregator<Space, T, Tree<CrossAttention>>;
  using Model = MaskedAutoencoder<Aggregator>;
  using Mask = typename Model::Mask;

  explicit Trial(comm::Communicator const& communicator, std::size_t samples = 2, Variant const& variant = {})
      : m_communicator(communicator), m_model(m_exec,
                                              Aggregator(m_exec, communicator,
                                                         {.channels = channels,
                                                          .groups = groups,
                                                          .patch = patch,
                                                          .width = 8,
                                                          .heads = 2,
                                                          .seed = 5,
                                                          .channel_names = variant.names}),
                                              {.height = height,
                                               .width = width,
                                               .depth = 2,
                                               .heads = variant.heads,
                                               .decoder_features = 6,
                                               .decoder_depth = 1,
                                               .decoder_heads = 3,
                                               .mlp_ratio = 2,
                                               .norm_epsilon = variant.norm_epsilon}),
        m_image(random_tensor<T>(m_exec, 1, "image", {samples, channels, height, width})) {
    m_mask.draw(m_exec, samples, positions, 0.75, Mask::Loss::hidden, 1, 0);
    if (!variant.planes.empty()) m_image = planes_of(m_exec, m_image, variant.planes);
  }

  Model& model() { return m_model; }
  auto const& image() const { return m_image; }
  auto const& mask() const { return m_mask; }
  auto const& context() const { return m_context; }

  double loss() {
    m_model.forward(m_workspace, m_context, own(), m_mask);
    return m_model.loss(m_exec, m_context, m_image, m_mask);
  }
  std::vector<double> prediction() {
    loss();
    return flat(m_context.prediction);
  }
  double step() {
    m_model.forward(m_workspace, m_context, own(), m_mask);
    return m_model.backward(m_workspace, m_context, own(), m_image, m_mask);
  }
  double train(AdamW<Space, T>& optimizer, std::uint64_t draw) {
    m_mask.draw(m_exec, m_image.extent(0), positions, 0.75, Mask::Loss::hidden, 1, draw);
    clear_gradients(m_exec, m_model);
    double const error = step();
    clip_gradients(m_exec, m_model, 1.0,
                   [&](double sum) { return comm::all_reduce(m_communicator, sum, comm::Reduce::sum); });
    optimizer.step(m_exec, m_model, 1e-3);
    m_exec.fence();
    return error;
  }
  Space const& exec() const { return m_exec; }

private:
  auto own() const {
    auto const own = m_model.aggregator().own_channels();
    return Image{Kokkos::subview(m_image, Kokkos::ALL, std::pair(own.begin, own.end), Kokkos::ALL, Kokkos::ALL)};
  }

  Space m_exec;
  comm::Communicator const& m_communicator;
  Workspace<Space> m_workspace{m_exec};
  Model m_model;
  typename Model::Context m_context;
  Mask m_mask;
  Tensor<Space, T, 4> m_image;
};

} // namespace

TEST_CASE_TEMPLATE("on P ranks loss and gradients are those of one", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  auto const self = comm::Communicator::self();
  comm::Communicator const world(MPI_COMM_WORLD);
  Trial<Space, T> one(self);
  Trial<Space, T> all(world);
  CHECK(worst_error(values_of(all.model()), part_of(values_of(one.model()), all.model())) == 0); // bit for bit
  randomize(one.model());
  randomize(all.model());
  double const expected = one.step();
  double const found = all.step();
  auto const error = worst_error(gradients_of(all.model()), part_of(gradients_of(one.model()), all.model()));
  CHECK(std::fabs(found - expected) <= tolerance<T>(1e-5, 1e-12) * expected);
  CHECK(error < tolerance<T>(1e-4, 1e-11));
}

TEST_CASE("every gradient of the whole model equals finite differences") {
  using Space = Kokkos::DefaultExecutionSpace;
  auto const self = comm::Communicator::self();
  Trial<Space, double> trial(self);
  randomize(trial.model());
  trial.step();
  auto const gradients = gradients_of(trial.model());
  trial.model().for_each_parameter([&](auto& parameter) {
    CAPTURE(parameter.name());
    auto const x = flat(parameter.values());
    auto gradient = gradients.at(parameter.name());
    // where a gradient is zero by symmetry, a slope of one gives the relative error a meaning
    for (double& g : gradient) g += 1;
    auto const loss = [&](std::vector<double> const& values) {
      assign(parameter.values(), values);
      double sum = trial.loss();
      for (double value : values) sum += value;
      return sum;
    };
    CHECK(gradient_error(loss, x, gradient, 1e-4) < 1e-6);
    assign(parameter.values(), x);
  });
}

TEST_CASE_TEMPLATE("the loss is the mean over hidden pixels of all channels", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  comm::Communicator const world(MPI_COMM_WORLD);
  Trial<Space, T> trial(world);
  double const loss = trial.loss();
  auto const prediction = trial.prediction(); // (B, L, C s)
  auto const image = flat(trial.image());     // (B, C, H, W)
  auto const weight = flat(trial.mask().weight());
  double sum = 0, count = 0;
  for (std::size_t b = 0; b < 2; ++b)
    for (std::size_t c = 0; c < channels; ++c)
      for (std::size_t y = 0; y < height; ++y)
        for (std::size_t x = 0; x < width; ++x) {
          std::size_t const n = b * positions + y / patch * (width / patch) + x / patch;
          std::size_t const k = y % patch * patch + x % patch;
          double const difference =
              prediction[(n * channels + c) * patch * patch + k] - image[((b * channels + c) * height + y) * width + x];
          sum += weight[n] * difference * difference;
          count += weight[n];
        }
  CHECK(std::fabs(loss - sum / count) <= tolerance<T>(1e-5, 1e-12) * loss);
}

TEST_CASE("hidden pixels are never seen, visible ones of every channel are") {
  using Space = Kokkos::DefaultExecutionSpace;
  comm::Communicator const world(MPI_COMM_WORLD);
  Trial<Space, double> trial(world, 1);
  randomize(trial.model());
  auto const before = trial.prediction();
  auto const pixels = flat(trial.image());
  auto const weight = flat(trial.mask().weight());
  for (std::size_t c = 0; c < channels; ++c) {
    bool hidden_changes = false;
    bool visible_changes = true;
    for (std::size_t y = 0; y < height; y += patch)
      for (std::size_t x = 0; x < width; x += patch) {
        auto changed = pixels;
        changed[(c * height + y) * width + x] += 1;
        assign(trial.image(), changed);
        bool const differs = trial.prediction() != before;
        if (weight[y / patch * (width / patch) + x / patch] == 1)
          hidden_changes = hidden_changes || differs;
        else
          visible_changes = visible_changes && differs;
      }
    CAPTURE(c);
    CHECK_FALSE(hidden_changes);
    CHECK(visible_changes);
  }
}

TEST_CASE_TEMPLATE("training lowers the loss and allocates nothing after the first steps", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  comm::Communicator const world(MPI_COMM_WORLD);
  Trial<Space, T> trial(world);
  AdamW<Space, T> optimizer(trial.exec(), trial.model());
  double const first = trial.train(optimizer, 0);
  trial.train(optimizer, 1);
  AllocationCounter const counter;
  double last = 0;
  for (std::uint64_t draw = 2; draw < 30; ++draw) last = trial.train(optimizer, draw);
  auto const allocations = counter.number();
  CHECK(allocations == 0);
  CHECK(last < first);
}

TEST_CASE("a model whose channels have another order goes on from the other's checkpoint as that does") {
  using Space = Kokkos::DefaultExecutionSpace;
  using Trial = Trial<Space, double>;
  comm::Communicator const world(MPI_COMM_WORLD);
  TemporaryFolder const folder(world);
  auto const path = folder / "c.safetensors";
  Variant first, other, crossed;
  for (std::size_t c = 0; c < channels; ++c) first.names.push_back(concat(400 + 10 * c, " nm"));
  other.planes = crossed.planes = {1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}; // both are of group 0
  std::swap(crossed.planes[2], crossed.planes[3]);                            // these are not
  for (auto* variant : {&other, &crossed})
    for (auto const c : variant->planes) variant->names.push_back(first.names[c]);

  Trial trial(world, 2, first);
  randomize(trial.model());
  AdamW<Space, double> optimizer(trial.exec(), trial.model());
  for (std::uint64_t draw = 0; draw < 2; ++draw) trial.train(optimizer, draw);
  save_checkpoint(world, path, {trial.model(), optimizer});

  Trial read(world, 2, other);
  AdamW<Space, double> read_optimizer(read.exec(), read.model());
  CHECK(load_checkpoint(world, path, {read.model(), read_optimizer}).remarks.size() == 1);
  for (std::uint64_t draw = 2; draw < 5; ++draw) { // the moments too are those of the same channels
    double const expected = trial.train(optimizer, draw);
    CHECK(std::fabs(read.train(read_optimizer, draw) - expected) <= 1e-12 * expected);
  }

  auto const complaint = [&](Variant const& variant) {
    Trial wrong(world, 2, variant);
    auto const before = values_of(wrong.model());
    auto const sentence = sentence_of([&] { load_checkpoint(world, path, {wrong.model()}); });
    CHECK(values_of(wrong.model()) == before);
    return sentence.substr(std::min(sentence.size(), sentence.find("was written")));
  };
  Variant heads = first, epsilon = first;
  heads.heads = 4;
  epsilon.norm_epsilon = 1e-6;
  CHECK(complaint(heads) == "was written with encoder heads 2, expected 4");
  CHECK(complaint(epsilon) ==
        "was written with encoder norm epsilon 1e-05, expected 1e-06; decoder norm epsilon 1e-05, "
        "expected 1e-06");
  CHECK(complaint(crossed) ==
        "was written with channel '430 nm' in group 2, module 0, expected group 1, module 0: what "
        "the model computes depends on that");

  auto const description = *read_metadata(world, path).description;
  CHECK(description == trial.model().describe());
  CHECK(description.get<std::string>("encoder grid") == "3 x 4");
  for (auto const& expected : {std::pair("patch", 2u),
                               {"aggregation width", 8u},
                               {"aggregation heads", 2u},
                               {"aggregation groups", 12u},
                               {"image height", 6u},
                               {"image width", 8u},
                               {"encoder depth", 2u},
                               {"encoder mlp ratio", 2u},
                               {"decoder width", 6u},
                               {"decoder heads", 3u},
                               {"head hidden layers", 0u}})
    CHECK_MESSAGE(description.get<unsigned>(expected.first) == expected.second, expected.first);
}

TEST_CASE("the epsilon of the layer norms reaches encoder and decoder") {
  using Space = Kokkos::DefaultExecutionSpace;
  comm::Communicator const world(MPI_COMM_WORLD);
  auto const power = [&](double norm_epsilon) { // of what the last norms give, which scale by 1 and shift by 0
    Trial<Space, double> trial(world, 2, {.norm_epsilon = norm_epsilon});
    trial.loss();
    std::vector<double> means;
    for (auto const& values : {flat(trial.context().latent), flat(trial.context().decoded)}) {
      double sum = 0;
      for (double const x : values) sum += x * x;
      means.push_back(sum / static_cast<double>(values.size()));
    }
    return means;
  };
  for (double const mean : power(1e-9)) CHECK(std::fabs(mean - 1) < 1e-6);
  for (double const mean : power(0.5)) CHECK(mean < 0.9);
}

TEST_CASE("sizes that do not fit are refused on every rank") {
  using Space = Kokkos::DefaultExecutionSpace;
  using Trial = Trial<Space, double>;
  comm::Communicator const world(MPI_COMM_WORLD);
  auto const aggregator = [&] {
    return typename Trial::Aggregator(Space(), world,
                                      {.channels = channels, .groups = groups, .patch = 4, .width = 8, .heads = 2});
  };
  CHECK_THROWS_WITH_AS(typename Trial::Model(Space(), aggregator(), {.height = 6, .width = 8, .depth = 1, .heads = 2}),
                       "MaskedAutoencoder: images of 6 x 8 pixels, expected multiples of the patch edge p = 4",
                       ShapeError);
  Trial trial(world, 2);
  Workspace<Space> workspace;
  typename Trial::Model::Context context;
  Tensor<Space, double, 4> const other("other", 3, channels, height, width);
  CHECK_THROWS_WITH_AS(trial.model().forward(workspace, context, Image{other}, trial.mask()),
                       "MaskedAutoencoder: mask of 2 samples with 12 positions, expected B = 3 with L = 12",
                       ShapeError);
}

TEST_CASE("check: what does not fit on one rank is refused on all, before anything is sent") {
  using Space = Kokkos::DefaultExecutionSpace;
  using Trial = Trial<Space, double>;
  using Pixels = Tensor<Space, double, 4>;
  comm::Communicator const world(MPI_COMM_WORLD);
  int const last = world.size() - 1;
  bool const odd = world.rank() == last;
  Trial trial(world, 2);
  auto const& model = trial.model();
  std::size_t const own = model.aggregator().own_channels().size();
  typename Trial::Model::Context context;
  auto const check = [&](Pixels const& image, Pixels const& target, typename Trial::Mask const& mask) {
    return sentence_of([&] { model.check(world, Space(), context, image, target, mask); });
  };
  auto const planes = [&](std::size_t samples, std::size_t count) {
    return Pixels("planes", samples, count, height, width);
  };
  auto const mask = [&](std::size_t samples, double ratio, std::uint64_t seed) {
    typename Trial::Mask drawn;
    drawn.draw(Space(), samples, positions, ratio, Trial::Mask::Loss::hidden, seed, 0);
    return drawn;
  };
  auto const image = planes(2, own), target = planes(2, channels);
  CHECK(check(image, target, mask(2, 0.75, 1)) == "");
  CHECK(check(image, planes(2, odd ? channels - 1 : channels), mask(2, 0.75, 1))
            .ends_with("MaskedAutoencoder: target is (2, 12, 6, 8), expected (2, 13, 6, 8)"));
  CHECK(check(image, target, mask(odd ? 3 : 2, 0.75, 1))
            .ends_with("MaskedAutoencoder: mask of 3 samples with 12 positions, expected B = 2 with L = 12"));
  CHECK(check(planes(2, odd ? own + 1 : own), target, mask(2, 0.75, 1)).find("DistributedAggregator") !=
        std::string::npos);
  CHECK(check(image, target, mask(2, 0.75, 1)) == "");
  if (last == 0) return;
  CHECK(check(planes(odd ? 3 : 2, own), planes(odd ? 3 : 2, channels), mask(odd ? 3 : 2, 0.75, 1)) ==
        concat("MaskedAutoencoder: samples B is 2 on rank 0 but 3 on rank ", last));
  CHECK(check(image, target, mask(2, odd ? 0.5 : 0.75, 1)) ==
        concat("MaskedAutoencoder: visible positions is 3 on rank 0 but 6 on rank ", last));
  CHECK(check(image, target, mask(2, 0.75, odd ? 2 : 1)).rfind("DistributedAggregator: the hash of the positions", 0) ==
        0);
}

} // namespace models_masked_autoencoder
