// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "report.hpp"

#include "pictures/plot.hpp"
#include "pictures/png_file.hpp"
#include "pictures/triptych.hpp"

#include <algorithm>
#include <cstdio>

namespace hyperspectral {
namespace {

Series level(std::string name, double value, std::vector<Curve> const& curves) {
  double last = 1;
  for (auto const& curve : curves)
    if (!curve.steps.empty()) last = std::max(last, curve.steps.back());
  return {std::move(name), {0, last}, {value, value}, {}};
}

Raster losses(Evaluation const& evaluation, std::vector<Curve> const& curves) {
  Plot plot{.title = "Masked reconstruction of held-out cubes",
            .x_label = "step",
            .y_label = "masked MSE (z-scored)",
            .series = {}};
  for (auto const& curve : curves) plot.series.push_back({curve.model, curve.steps, curve.test_loss, {}});
  if (curves.size() == 1)
    plot.series.push_back({curves[0].model + ", training", curves[0].steps, curves[0].train_loss, {}});
  plot.series.push_back(level("inverse distance", evaluation.by_distance, curves));
  plot.series.push_back(level("visible mean", evaluation.visible_mean, curves));
  return draw(plot);
}

/// The cube with the model's pixels where patches were hidden.
std::vector<float> filled_in(Image const& image, std::span<float const> prediction,
                             std::span<std::uint8_t const> hidden, std::size_t patch) {
  std::vector<float> values = image.values;
  std::size_t const columns = image.samples / patch;
  std::size_t i = 0;
  for (std::size_t c = 0; c < image.channels; ++c)
    for (std::size_t y = 0; y < image.lines; ++y)
      for (std::size_t x = 0; x < image.samples; ++x, ++i)
        if (hidden[y / patch * columns + x / patch]) values[i] = prediction[i];
  return values;
}

std::vector<std::uint8_t> hidden_of(Evaluation const& evaluation, std::size_t sample, std::size_t positions) {
  std::vector<std::uint8_t> hidden(positions, 1);
  for (auto l : evaluation.visible[sample]) hidden[l] = 0;
  return hidden;
}

/// One pixel in the middle of a hidden patch near the middle, in the cube's own units.
Raster spectrum(Dataset const& data, Image const& image, std::span<float const> prediction,
                std::span<std::uint8_t const> hidden, std::size_t patch) {
  std::size_t const columns = image.samples / patch;
  std::size_t place = hidden.size() / 2 + columns / 2;
  while (!hidden[place % hidden.size()]) ++place;
  place %= hidden.size();
  std::size_t const pixel = place / columns * patch * image.samples + place % columns * patch;
  Series measured{"measured", {}, {}, {}};
  Series reconstructed{"reconstructed", {}, {}, {}};
  for (std::size_t c = 0; c < image.channels; ++c) {
    double const x = data.wavelengths().empty() ? static_cast<double>(c) : data.wavelengths()[c];
    auto const physical = [&](float value) {
      return data.mean()[c] + data.deviation()[c] * static_cast<double>(value);
    };
    measured.x.push_back(x);
    measured.y.push_back(physical(image.values[c * image.pixels() + pixel]));
    reconstructed.x.push_back(x);
    reconstructed.y.push_back(physical(prediction[c * image.pixels() + pixel]));
  }
  return draw({.title = "A hidden pixel of a held-out cube",
               .x_label = data.wavelengths().empty() ? "band" : "wavelength (nm)",
               .y_label = "as in the cube",
               .series = {measured, reconstructed}});
}

} // namespace

void draw_report(Options const& options, Dataset const& data, Evaluation const& evaluation,
                 std::vector<Curve> const& curves, std::vector<float> const& prediction) {
  write_png(options.out / "losses.png", losses(evaluation, curves));
  auto const& crop = options.model.crop;
  auto const lines = static_cast<int>(crop.lines);
  auto const samples = static_cast<int>(crop.samples);
  auto const channels = static_cast<int>(data.channels());
  std::size_t const patch = options.model.patch;
  std::size_t const values = data.channels() * crop.pixels();
  auto const bands = pick_bands(data.wavelengths(), channels, ColourScheme::infrared);
  std::vector<TriptychRow> rows;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, evaluation.images.size()); ++i) {
    auto const& image = evaluation.images[i];
    auto const hidden = hidden_of(evaluation, i, crop.patches(patch));
    auto const predicted = std::span(prediction).subspan(i * values, values);
    auto const filled = filled_in(image, predicted, hidden, patch);
    rows.push_back(triptych_row({image.values, channels, lines, samples}, hidden, static_cast<int>(patch),
                                {filled, channels, lines, samples}, bands));
    if (i == 0) write_png(options.out / "spectrum.png", spectrum(data, image, predicted, hidden, patch));
  }
  write_png(options.out / "reconstruction.png", triptych(rows, curves.back().model));
}

void print_summary(Evaluation const& evaluation, std::vector<Curve> const& curves) {
  std::printf("\nmasked MSE on %zu held-out cubes (each band z-scored)\n", evaluation.images.size());
  std::printf("  %-22s %8.4f\n", "visible mean", evaluation.visible_mean);
  std::printf("  %-22s %8.4f\n", "inverse distance", evaluation.by_distance);
  for (auto const& curve : curves) {
    if (curve.steps.empty()) continue;
    auto const best = std::ranges::min_element(curve.test_loss) - curve.test_loss.begin();
    std::printf("  %-22s %8.4f  best %.4f at step %.0f  training loss %.4f  %.0f s%s\n", curve.model.c_str(),
                curve.test_loss.back(), curve.test_loss[static_cast<std::size_t>(best)],
                curve.steps[static_cast<std::size_t>(best)], curve.train_loss.back(), curve.seconds,
                curve.stopped ? "  (stopped)" : "");
  }
  for (auto const& curve : curves) {
    if (curve.step_seconds == 0) continue; // finished before
    std::printf("%s: %.1f ms/step", curve.model.c_str(), curve.step_seconds * 1e3);
    if (curve.peak_bytes > 0)
      std::printf(", peak resident memory %.0f MiB per rank", static_cast<double>(curve.peak_bytes) * 0x1p-20);
    std::printf("\n");
  }
}

} // namespace hyperspectral
