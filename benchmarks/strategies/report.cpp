// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// From what bench.strategies wrote for several numbers of ranks, one table and one figure:
//
//   strategies_report picture.png p2.csv p8.csv > table.md
#include "pictures/plot.hpp"
#include "pictures/png_file.hpp"

#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <stdexcept>

namespace {

struct Row {
  int ranks;
  double channels;
  std::string strategy;
  double state, work, sent, ms;
  double held() const { return state + work; }
};

std::vector<Row> read(std::string const& path) {
  std::ifstream file(path);
  std::vector<Row> rows;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::vector<std::string> fields;
    std::istringstream in(line);
    for (std::string field; std::getline(in, field, ',');) fields.push_back(field);
    if (fields.size() != 7) throw std::runtime_error(path + ": '" + line + "' is no row of 7 fields");
    rows.push_back({std::stoi(fields[0]), std::stod(fields[1]), fields[2], std::stod(fields[3]), std::stod(fields[4]),
                    std::stod(fields[5]), std::stod(fields[6])});
  }
  if (rows.empty()) throw std::runtime_error(path + ": there are no rows");
  return rows;
}

void print(std::vector<Row> const& rows) {
  std::printf("| strategy, P = %d | MiB held by a rank | MiB sent by a rank | ms computed by a rank |\n",
              rows[0].ranks);
  std::printf("|---|---|---|---|\n");
  std::vector<double> channels;
  std::vector<std::string> names;
  std::map<std::pair<std::string, double>, Row const*> table;
  for (auto const& row : rows) {
    if (channels.empty() || channels.back() != row.channels) channels.push_back(row.channels);
    if (row.channels == rows[0].channels) names.push_back(row.strategy);
    table[{row.strategy, row.channels}] = &row;
  }
  std::printf("| C = ");
  for (double c : channels) std::printf("%s%.0f", c == channels[0] ? "" : " / ", c);
  std::printf(" | | | |\n");
  for (auto const& name : names) {
    std::printf("| %s |", name.c_str());
    auto const cell = [&](char const* format, auto const& value) {
      for (double c : channels) {
        std::printf(c == channels[0] ? " " : " / ");
        std::printf(format, value(*table.at({name, c})));
      }
      std::printf(" |");
    };
    cell("%.0f", [](Row const& row) { return row.held(); });
    cell("%.1f", [](Row const& row) { return row.sent; });
    cell("%.0f", [](Row const& row) { return row.ms; });
    std::printf("\n");
  }
  std::printf("\n");
}

// What stays apart in a picture: the baselines, Tree0 in both forms, the exact one.
constexpr char const* drawn[] = {"tensor parallelism materialized",
                                 "distributed tokenization materialized",
                                 "-C Tree0 materialized",
                                 "-L Tree0 materialized",
                                 "tensor parallelism fused",
                                 "-C Tree0 fused",
                                 "-L Tree0 fused",
                                 "flat exact fused"};

hyperspectral::Raster curves(std::vector<Row> const& rows, std::string const& title, std::string const& label,
                             double (*value)(Row const&)) {
  hyperspectral::Plot plot{.title = title + ", P = " + std::to_string(rows[0].ranks),
                           .x_label = "channels",
                           .y_label = label,
                           .log_y = true,
                           .series = {},
                           .width = 760,
                           .height = 480};
  for (std::string const name : drawn) {
    hyperspectral::Series series; // one legend serves all
    for (auto const& row : rows)
      if (row.strategy == name) {
        series.x.push_back(row.channels);
        series.y.push_back(value(row));
      }
    plot.series.push_back(std::move(series));
  }
  return draw(plot);
}

} // namespace

int main(int argc, char** argv) try {
  if (argc < 3) throw std::runtime_error("expected a picture's name and tables of bench.strategies");
  std::vector<hyperspectral::Raster> pictures;
  for (int i = 2; i < argc; ++i) {
    auto const rows = read(argv[i]);
    print(rows);
    pictures.push_back(curves(rows, "Held by a rank", "MiB", [](Row const& row) { return row.held(); }));
    pictures.push_back(curves(rows, "Computed by a rank in a step", "ms", [](Row const& row) { return row.ms; }));
  }
  constexpr int columns = 3, line_height = 28; // of the legend
  constexpr int lines = (static_cast<int>(std::size(drawn)) + columns - 1) / columns;
  constexpr int legend = (lines + 1) * line_height; // its height
  int const width = pictures[0].width(), height = pictures[0].height();
  hyperspectral::Raster figure(2 * width, height * static_cast<int>(pictures.size()) / 2 + legend);
  for (std::size_t i = 0; i < pictures.size(); ++i)
    figure.blit(pictures[i], width * static_cast<int>(i % 2), height * static_cast<int>(i / 2));
  for (int i = 0; i < static_cast<int>(std::size(drawn)); ++i) {
    int const x = 20 + i % columns * figure.width() / columns;
    int const y = figure.height() - legend + (i / columns + 1) * line_height;
    auto const index = static_cast<std::size_t>(i);
    figure.line({x + 0.0, y + 0.0}, {x + 24.0, y + 0.0}, hyperspectral::series_colour(index), 3);
    figure.text(x + 34, y - 8, drawn[index], hyperspectral::black, 2);
  }
  write_png(argv[1], figure);
  return 0;
} catch (std::exception const& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
