// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "data/dataset.hpp"

#include "data/error.hpp"
#include "data/random.hpp"
#include "data/read.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <new>
#include <numeric>
#include <set>
#include <utility>

namespace hyperspectral {

namespace {

// What a random stream is for: streams of different purpose never meet.
enum Purpose : std::uint64_t { shuffling = 20, drawing, training_scene, test_scene, statistics_scene };

void require_same_bands(Cube const& first, Cube const& other) {
  if (first.bands == other.bands) return;
  fail(first.source, " has ", first.bands, " bands and ", other.source, " has ", other.bands,
       ", all cubes of a data set need the same");
}

/// What an allocation says for itself is often the name of a type.
std::string sentence_of(std::bad_alloc const& error) {
  std::string const text = error.what();
  return text.find(' ') == text.npos ? "out of memory" : text;
}

std::size_t bytes_of(std::vector<Cube> const& cubes) {
  std::size_t values = 0;
  for (auto const& cube : cubes) values += cube.values.size();
  return values * sizeof(float);
}

std::vector<Cube> make_scenes(SceneOptions scene, std::size_t count, Purpose purpose) {
  auto const family = scene.seed;
  std::vector<Cube> scenes;
  for (std::size_t i = 0; i < count; ++i) {
    scene.seed = Random{family, purpose, i}.bits();
    scenes.push_back(make_scene(scene));
  }
  return scenes;
}

} // namespace

std::vector<Cube> read_cubes(std::vector<std::filesystem::path> const& paths) {
  std::vector<Cube> cubes;
  for (auto const& path : list_cubes(paths)) {
    try {
      cubes.push_back(read_cube(path));
    } catch (std::bad_alloc const& error) {
      throw DataMemoryError(path.string() + ": " + sentence_of(error) + ", behind " + std::to_string(cubes.size()) +
                            " cubes of " + std::to_string(bytes_of(cubes)) + " bytes");
    }
    require_same_bands(cubes.front(), cubes.back());
  }
  return cubes;
}

Dataset::Dataset(std::vector<Cube> cubes, SplitOptions const& options) {
  if (cubes.empty()) fail("data set: no cubes");
  if (!(options.test_fraction >= 0 && options.test_fraction <= 1)) {
    fail("data set: test fraction is ", options.test_fraction, ", expected 0 to 1");
  }
  auto const count = cubes.size();
  for (auto const& cube : cubes) require_same_bands(cubes.front(), cube);
  auto const share = std::llround(options.test_fraction * static_cast<double>(count));
  auto const tested = options.test_count.value_or(static_cast<std::size_t>(share));
  if (tested >= count) fail("data set: ", tested, " of ", count, " cubes for testing leave none to train on");

  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random random{options.seed, shuffling};
  for (std::size_t i = count - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
  std::vector<bool> is_test(count);
  for (std::size_t i = 0; i < tested; ++i) is_test[order[i]] = true;
  for (std::size_t i = 0; i < count; ++i) (is_test[i] ? m_test : m_train).push_back(std::move(cubes[i]));
  measure(m_train);
}

Dataset::Dataset(StreamOptions const& options) : m_stream(options) {
  if (options.statistics_scenes == 0) fail("data set: 0 scenes to take mean and deviation from, expected at least 1");
  measure(make_scenes(options.scene, options.statistics_scenes, statistics_scene));
  m_test = make_scenes(options.scene, options.test_scenes, test_scene);
}

Cube const& Dataset::cube(Split split, std::size_t i) const {
  if (i < size(split)) return cubes(split)[i];
  fail("data set: cube ", i, " of the ", split == Split::train ? "training" : "test", " part, which has ", size(split));
}

std::size_t Dataset::constant_bands() const {
  return static_cast<std::size_t>(std::ranges::count(m_deviation, 0.0));
}

std::vector<std::string> Dataset::channel_names() const {
  auto names = m_band_names;
  for (auto& name : names) // a checkpoint takes UTF-8, and a header may have anything
    std::ranges::replace_if(
        name, [](char c) { return c < ' ' || c > '~'; }, '?');
  if (!m_wavelengths.empty()) names.clear();
  for (auto const wavelength : m_wavelengths) {
    char text[32];
    std::snprintf(text, sizeof text, "%.7g nm", wavelength);
    names.emplace_back(text);
  }
  std::set<std::string> taken;
  for (auto& name : names) { // two spectrometers of one camera may overlap
    auto const plain = name;
    for (int i = 2; !taken.insert(name).second; ++i) name = plain + " (" + std::to_string(i) + ")";
  }
  return names;
}

double Dataset::checksum() const {
  double sum = 0;
  for (std::size_t c = 0; c < channels(); ++c) sum += static_cast<double>(c + 1) * (m_mean[c] + m_deviation[c]);
  return sum;
}

void Dataset::measure(std::vector<Cube> const& training) {
  m_wavelengths = training.front().wavelengths;
  m_band_names = training.front().band_names;
  for (std::size_t b = 0; b < training.front().bands; ++b) {
    double sum = 0;
    double pixels = 0;
    for (auto const& cube : training) {
      for (auto const value : cube.band(b)) sum += static_cast<double>(value);
      pixels += static_cast<double>(cube.pixels());
    }
    auto const mean = sum / pixels;
    double squares = 0;
    for (auto const& cube : training) {
      for (auto const value : cube.band(b)) {
        auto const off = static_cast<double>(value) - mean;
        squares += off * off;
      }
    }
    auto const deviation = std::sqrt(squares / pixels);
    // Below the rounding of the floats themselves there is no signal to blow up.
    auto const is_constant = deviation <= 1e-6 * std::abs(mean) + 1e-12;
    m_mean.push_back(mean);
    m_deviation.push_back(is_constant ? 0 : deviation);
  }
}

void Dataset::copy(Cube const& cube, Window const& window, std::span<float> out) const {
  auto const [line, sample, lines, samples, symmetry] = window;
  std::size_t place = 0;
  for (std::size_t b = 0; b < cube.bands; ++b) {
    auto const scale = m_deviation[b] == 0 ? 0 : 1 / m_deviation[b];
    for (std::size_t i = 0; i < lines; ++i) {
      for (std::size_t j = 0; j < samples; ++j) {
        auto [from_line, from_sample] = (symmetry & 1U) != 0 ? std::pair(j, i) : std::pair(i, j);
        if ((symmetry & 2U) != 0) from_line = lines - 1 - from_line;
        if ((symmetry & 4U) != 0) from_sample = samples - 1 - from_sample;
        auto const value = static_cast<double>(cube.at(b, line + from_line, sample + from_sample));
        out[place++] = static_cast<float>((value - m_mean[b]) * scale);
      }
    }
  }
}

void Dataset::sample(Split split, BatchKey key, std::size_t index, Crop crop, bool augment,
                     std::span<float> out) const {
  if (out.size() != channels() * crop.pixels() || out.empty()) {
    fail("data set: a sample of ", channels(), " channels x ", crop.lines, " x ", crop.samples, " does not fill ",
         out.size(), " values");
  }
  if (m_stream && split == Split::train) {
    auto scene = m_stream->scene;
    scene.lines = crop.lines;
    scene.samples = crop.samples;
    scene.seed = Random{scene.seed, training_scene, key.seed, key.step, index}.bits();
    copy(make_scene(scene), {0, 0, crop.lines, crop.samples}, out);
    return;
  }
  if (size(split) == 0) cube(split, 0); // says which part is empty
  Random random{key.seed, drawing, key.step, index};
  auto const& from = cubes(split)[random.below(size(split))];
  if (from.lines < crop.lines || from.samples < crop.samples) {
    fail(from.source, ": ", from.lines, " lines x ", from.samples, " samples are smaller than the crop of ",
         to_string(crop));
  }
  Window window{random.below(from.lines - crop.lines + 1), random.below(from.samples - crop.samples + 1), crop.lines,
                crop.samples};
  if (augment) window.symmetry = static_cast<unsigned>(random.below(8));
  if (crop.lines != crop.samples) window.symmetry &= ~1U; // no quarter turns
  copy(from, window, out);
}

void Dataset::batch(Split split, BatchKey key, Crop crop, bool augment, std::span<float> out) const {
  auto const values = channels() * crop.pixels();
  if (values == 0 || out.size() % values != 0) {
    fail("data set: ", out.size(), " values hold no whole samples of ", channels(), " channels x ", crop.lines, " x ",
         crop.samples);
  }
  for (std::size_t i = 0; i < out.size() / values; ++i) {
    sample(split, key, i, crop, augment, out.subspan(i * values, values));
  }
}

Image Dataset::middle(Cube const& cube, std::size_t lines, std::size_t samples) const {
  if (lines == 0 || samples == 0 || lines > cube.lines || samples > cube.samples) {
    fail(cube.source, ": no ", lines, " x ", samples, " pixels in ", cube.lines, " lines x ", cube.samples, " samples");
  }
  Image image{cube.bands, lines, samples, std::vector<float>(cube.bands * lines * samples)};
  copy(cube, {(cube.lines - lines) / 2, (cube.samples - samples) / 2, lines, samples}, image.values);
  return image;
}

Image Dataset::whole(Split split, std::size_t i, std::size_t patch_edge) const {
  auto const& from = cube(split, i);
  if (patch_edge == 0) fail("data set: the edge of a patch is 0, expected at least 1");
  return middle(from, from.lines / patch_edge * patch_edge, from.samples / patch_edge * patch_edge);
}

Image Dataset::centre(Split split, std::size_t i, Crop crop) const {
  return middle(cube(split, i), crop.lines, crop.samples);
}

} // namespace hyperspectral
