// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "training.hpp"

#include <dchag/comm/texts.hpp>
#include <dchag/core/number.hpp>
#include <dchag/train/checkpoint_folder.hpp>
#include <dchag/train/schedule.hpp>

#include "pictures/curve_writer.hpp"
#include "progress_state.hpp"
#include "resources.hpp"
#include "stage.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <optional>
#include <sstream>

namespace hyperspectral {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point then) {
  return std::chrono::duration<double>(Clock::now() - then).count();
}

std::sig_atomic_t volatile stop_requested = 0;

std::string clock_text(double seconds) {
  auto const whole = static_cast<long>(seconds + 0.5);
  char text[32];
  std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  return text;
}

/// A line now and then: at every evaluation, and when nothing was said for long.
class Progress {
public:
  /// `first`: steps that were done before, in so many seconds.
  Progress(std::string name, std::size_t steps, std::size_t batch, std::size_t first, double seconds_before)
      : m_name(std::move(name)), m_steps(steps), m_batch(batch), m_first(first), m_before(seconds_before),
        m_begin(Clock::now()), m_last(m_begin) {}

  double seconds() const { return m_before + since(m_begin); }

  void show(std::size_t done, double train_loss, double test_loss, bool now) {
    if (!now && since(m_last) < 15) return;
    m_last = Clock::now();
    double const rate = static_cast<double>(done - m_first) / since(m_begin); // steps a second
    std::printf("%s: step %5zu of %zu   loss %.4f   held out %.4f   %4.0f samples/s   %s left\n", m_name.c_str(), done,
                m_steps, train_loss, test_loss, rate * static_cast<double>(m_batch),
                clock_text(static_cast<double>(m_steps - done) / rate).c_str());
    std::fflush(stdout);
  }

private:
  std::string m_name;
  std::size_t m_steps, m_batch, m_first;
  double m_before;
  Clock::time_point m_begin, m_last;
};

double median(std::vector<double> values) {
  auto const middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

std::string not_finite(std::string const& name, std::size_t step, Model::Step const& result, Model& model) {
  auto text = dchag::concat(name, ": step ", step, " has loss ", result.loss, " and gradient norm ",
                            result.gradient_norm, "; norms of the parameters (their gradients):");
  for (auto const& norm : model.norms())
    text += dchag::concat("\n  ", norm.name, ' ', norm.value, " (", norm.gradient, ')');
  return text;
}

} // namespace

void catch_signals() {
  stop_requested = 0;
  for (int signal : {SIGINT, SIGTERM, SIGUSR1}) std::signal(signal, [](int) { stop_requested = 1; });
}

namespace {
/// Where the newest whole checkpoint stands, with the model as it was; the beginning if there is none.
ProgressState resume(Model& model, std::string const& name, dchag::CheckpointFolder const& folder, Dataset const& data,
                     Options const& options, dchag::comm::Communicator const& communicator) {
  auto const newest = folder.newest_complete();
  bool const speaks = communicator.rank() == 0;
  for (auto const& sentence : newest.skipped)
    if (speaks) std::printf("%s: skipped a checkpoint: %s\n", name.c_str(), sentence.c_str());
  if (!newest.path) {
    if (speaks) std::printf("%s: there is no checkpoint to go on from, it starts anew\n", name.c_str());
    return {};
  }
  auto const loaded = dchag::load_checkpoint(communicator, *newest.path, model.checkpoint({}), {.verify = false});
  for (auto const& remark : loaded.remarks)
    if (speaks) std::printf("%s: %s\n", name.c_str(), remark.c_str());
  auto const state =
      dchag::comm::collectively(communicator, [&] { return from_metadata(loaded, name, options, data); });
  if (speaks) std::printf("%s: goes on from %s\n", name.c_str(), newest.path->string().c_str());
  return state;
}

/// The rows of a table of a curve that an earlier run wrote; returns the seconds that it took until the last of them.
double add_rows(std::string const& rows, Curve& curve) {
  std::istringstream lines(rows);
  double seconds = 0;
  for (std::string line; std::getline(lines, line);) {
    std::ranges::replace(line, ',', ' ');
    std::istringstream numbers(line);
    double step = 0, train = 0, test = 0, rate = 0, norm = 0;
    if (!(numbers >> step >> train >> test >> rate >> norm >> seconds)) continue;
    curve.steps.push_back(step);
    curve.train_loss.push_back(train);
    curve.test_loss.push_back(test);
  }
  return seconds;
}
} // namespace

Evaluation make_evaluation(Dataset const& data, Options const& options) {
  Evaluation evaluation;
  auto const& model = options.model;
  std::size_t const positions = model.crop.patches(model.patch);
  std::size_t const count = data.size(Split::test);
  evaluation.visible = draw_mask(count, positions, model.mask_ratio, model.seed, ~std::uint64_t{0});
  for (std::size_t i = 0; i < count; ++i) {
    auto image = data.centre(Split::test, i, model.crop);
    evaluation.visible_mean +=
        fill_with_mean(image, model.patch, evaluation.visible[i]).mse / static_cast<double>(count);
    evaluation.by_distance +=
        fill_by_distance(image, model.patch, evaluation.visible[i]).mse / static_cast<double>(count);
    evaluation.batch.insert(evaluation.batch.end(), image.values.begin(), image.values.end());
    evaluation.images.push_back(std::move(image));
  }
  return evaluation;
}

Curve train(Model& model, std::string const& name, Dataset const& data, Evaluation const& evaluation,
            Options const& options, dchag::comm::Communicator const& communicator) {
  bool const speaks = communicator.rank() == 0;
  std::size_t const between = std::max<std::size_t>(1, options.steps / options.evaluations);
  // one for all saves: it knows which checkpoints were found damaged
  dchag::CheckpointFolder const folder(communicator, options.out / ("checkpoints_" + name), 2,
                                       options.file_of_each_rank ? dchag::CheckpointLayout::shards
                                                                 : dchag::CheckpointLayout::one_file);
  if (speaks && !folder.lock_warning().empty()) std::printf("%s: %s\n", name.c_str(), folder.lock_warning().c_str());
  auto state = options.resume ? stage(communicator, "going on from a checkpoint of " + name,
                                      [&] { return resume(model, name, folder, data, options, communicator); })
                              : ProgressState();
  if (!state.last_row) // an older checkpoint, which tells of no other --evaluations
    state.last_row = state.step == options.steps ? state.step : state.step / between * between;
  std::optional<CurveWriter> file;
  auto rows = dchag::comm::collectively(communicator, [&] {
    std::string kept;
    if (!speaks) return kept;
    auto const path = options.out / ("curve_" + name + ".csv");
    if (state.step == 0)
      std::filesystem::remove(path); // of an earlier run
    else
      kept = cut_curve(path, *state.last_row);
    file.emplace(
        path, std::vector<std::string>{"step", "train_loss", "test_loss", "learning_rate", "gradient_norm", "seconds"});
    return kept;
  });
  dchag::WarmupCosine const schedule{
      .peak = options.learning_rate, .minimum = 0, .warmup_steps = options.warmup, .total_steps = options.steps};
  auto const crop = options.model.crop;
  std::vector<float> batch(options.batch * data.channels() * crop.pixels());
  Curve curve;
  curve.model = name;
  double const before = add_rows(dchag::comm::broadcast_text(communicator, std::move(rows), 0), curve);
  Progress progress(name, options.steps, options.batch, state.step, before);
  std::vector<double> step_seconds;
  double test = model.evaluate(evaluation.batch, evaluation.visible);
  for (std::size_t step = state.step; step < options.steps && !curve.stopped; ++step) {
    data.batch(Split::train, {options.model.seed, step}, crop, options.augment, batch);
    double const rate = dchag::comm::from_rank(communicator, 0, schedule.rate(step)); // all ranks may not round alike
    auto const begin = Clock::now();
    auto const result = model.train(batch, step, rate);
    step_seconds.push_back(since(begin));
    bool const finite = dchag::math::is_finite(result.loss) && dchag::math::is_finite(result.gradient_norm);
    if (!finite) // on all ranks
      dchag::comm::collectively(communicator, [&] { throw dchag::Error(not_finite(name, step, result, model)); });
    state.loss_sum += result.loss;
    ++state.summed;
    curve.stopped =
        dchag::comm::all_reduce(communicator, static_cast<int>(stop_requested), dchag::comm::Reduce::max) != 0;
    bool const regular = step + 1 == options.steps || (step + 1) % between == 0;
    bool const evaluate =
        regular || curve.stopped; // where it stopped is shown, but a run that goes on does not count it
    if (evaluate) {
      test = model.evaluate(evaluation.batch, evaluation.visible);
      curve.steps.push_back(static_cast<double>(step + 1));
      curve.train_loss.push_back(state.loss_sum / static_cast<double>(state.summed));
      curve.test_loss.push_back(test);
      dchag::comm::collectively(communicator, [&] {
        if (file)
          file->append(
              {curve.steps.back(), curve.train_loss.back(), test, rate, result.gradient_norm, progress.seconds()});
      });
    }
    if (speaks) progress.show(step + 1, state.loss_sum / static_cast<double>(state.summed), test, evaluate);
    state.step = step + 1;
    if (regular) state.summed = 0, state.loss_sum = 0, state.last_row = state.step;
    bool const due = options.checkpoint_every > 0 && state.step % options.checkpoint_every == 0;
    if (due || curve.stopped || state.step == options.steps)
      stage(communicator, "writing a checkpoint of " + name, [&] {
        folder.save(static_cast<std::int64_t>(state.step), model.checkpoint(to_metadata(state, name, options, data)));
      });
  }
  dchag::comm::collectively(communicator, [&] {
    if (file) file->finish();
  });
  curve.seconds = progress.seconds();
  curve.step_seconds = dchag::comm::all_reduce(communicator, step_seconds.empty() ? 0 : median(std::move(step_seconds)),
                                               dchag::comm::Reduce::max);
  curve.peak_bytes =
      dchag::comm::all_reduce(communicator, peak_resident_memory().value_or(0), dchag::comm::Reduce::max);
  return curve;
}

} // namespace hyperspectral
