// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <map>
#include <reference/attention_pooling.hpp>
#include <reference/linear.hpp>
#include <reference/patches.hpp>
#include <string>

/// \file
/// Tokenizer and trees of aggregations from their definition, with every key and value stored, and their gradients.
namespace dchag::reference {

/// Numbers by the names of the library's parameters.
using Weights = std::map<std::string, std::vector<double>>;

/// One level of a tree.
struct Level {
  bool attention; // cross-attention, otherwise a weighted sum
  std::size_t groups;
  bool shared; // one module for all groups
};

/// The tokens that are there, (M, N, D), and which of how many inputs they are, ascending.
struct Tokens {
  Array<3> x;
  std::vector<std::size_t> index;
};

/// (M, N, D) -> (M N, D), and one token of each position alone.
inline Array<2> rows(Array<3> const& x) {
  return {{x.extents[0] * x.extents[1], x.extents[2]}, x.values};
}
inline Array<2> token(Array<3> const& x, std::size_t i) {
  Array<2> y({x.extents[1], x.extents[2]});
  for (std::size_t n = 0; n < y.extents[0]; ++n)
    for (std::size_t j = 0; j < y.extents[1]; ++j) y(n, j) = x(i, n, j);
  return y;
}
inline void set_token(Array<3>& x, std::size_t i, Array<2> const& y) {
  for (std::size_t n = 0; n < y.extents[0]; ++n)
    for (std::size_t j = 0; j < y.extents[1]; ++j) x(i, n, j) = y(n, j);
}

/// A learnable model: weights, and gradients of the same names to add to.
struct Model {
  std::size_t width;
  std::size_t heads;
  Weights weights;
  Weights gradients = {};

  std::vector<double> const& weight(std::string const& name) const { return weights.at(name); }
  std::vector<double>& gradient(std::string const& name) {
    auto& g = gradients[name];
    g.resize(weights.at(name).size());
    return g;
  }
  Array<2> matrix(std::string const& name) const { return {{width, width}, weight(name + ".weight")}; }
  Array<1> bias(std::string const& name) const { // zero if there is none
    return weights.count(name + ".bias") ? Array<1>({width}, weight(name + ".bias")) : Array<1>({width});
  }
  void add_gradients(std::string const& name, LinearGradients const& d) {
    for (std::size_t i = 0; i < d.d_weight.values.size(); ++i) gradient(name + ".weight")[i] += d.d_weight.values[i];
    if (!weights.count(name + ".bias")) return;
    for (std::size_t i = 0; i < width; ++i) gradient(name + ".bias")[i] += d.d_bias(i);
  }
};

/// k = W_k x, u = W_v x, a = softmax over the tokens of k . W_q query / sqrt(d), y = W_o (sum of a u) + b_o.
struct CrossAttention {
  Array<2> query;
  Array<3> k, u;
  Array<2> o, y;

  CrossAttention(Model const& m, std::string const& name, Array<3> const& x)
      : query(linear_forward({{1, m.width}, m.weight(name + ".query")}, m.matrix(name + ".q"), m.bias(name + ".q"))),
        k(x.extents, linear_forward(rows(x), m.matrix(name + ".k"), m.bias(name + ".k")).values),
        u(x.extents, linear_forward(rows(x), m.matrix(name + ".v"), m.bias(name + ".v")).values),
        o(attention_pooling_forward(m.heads, q(), k, u).o),
        y(linear_forward(o, m.matrix(name + ".out"), m.bias(name + ".out"))) {}

  Array<1> q() const { return {{query.extents[1]}, query.values}; }

  Array<3> backward(Model& m, std::string const& name, Array<3> const& x, Array<2> const& d_y) const {
    auto const d_out = linear_backward(o, m.matrix(name + ".out"), d_y);
    m.add_gradients(name + ".out", d_out);
    auto const d = attention_pooling_backward(m.heads, q(), k, u, d_out.d_x);
    auto const d_query =
        linear_backward({{1, m.width}, m.weight(name + ".query")}, m.matrix(name + ".q"), {{1, m.width}, d.d_q.values});
    m.add_gradients(name + ".q", d_query);
    for (std::size_t j = 0; j < m.width; ++j) m.gradient(name + ".query")[j] += d_query.d_x.values[j];
    auto const through_k = linear_backward(rows(x), m.matrix(name + ".k"), rows(d.d_k));
    auto const through_v = linear_backward(rows(x), m.matrix(name + ".v"), rows(d.d_u));
    m.add_gradients(name + ".k", through_k);
    m.add_gradients(name + ".v", through_v);
    Array<3> d_x(x.extents, through_k.d_x.values);
    for (std::size_t i = 0; i < d_x.values.size(); ++i) d_x.values[i] += through_v.d_x.values[i];
    return d_x;
  }
};

/// y = sum over i of w[index[i]] x[i] + beta.
inline Array<2> weighted_sum(Model const& m, std::string const& name, Tokens const& tokens) {
  auto const [M, N, D] = tokens.x.extents;
  Array<2> y({N, D}, m.weight(name + ".bias")[0]);
  for (std::size_t i = 0; i < M; ++i)
    for (std::size_t n = 0; n < N; ++n)
      for (std::size_t j = 0; j < D; ++j) y(n, j) += m.weight(name + ".weight")[tokens.index[i]] * tokens.x(i, n, j);
  return y;
}
inline Array<3> weighted_sum_backward(Model& m, std::string const& name, Tokens const& tokens, Array<2> const& d_y) {
  auto const [M, N, D] = tokens.x.extents;
  Array<3> d_x(tokens.x.extents);
  for (std::size_t i = 0; i < M; ++i) {
    for (std::size_t n = 0; n < N; ++n) {
      for (std::size_t j = 0; j < D; ++j) {
        d_x(i, n, j) = m.weight(name + ".weight")[tokens.index[i]] * d_y(n, j);
        m.gradient(name + ".weight")[tokens.index[i]] += tokens.x(i, n, j) * d_y(n, j);
      }
    }
  }
  for (double d : d_y.values) m.gradient(name + ".bias")[0] += d;
  return d_x;
}

inline Array<2> module_forward(Model const& m, std::string const& name, bool attention, Tokens const& tokens) {
  return attention ? CrossAttention(m, name, tokens.x).y : weighted_sum(m, name, tokens);
}
inline Array<3> module_backward(Model& m, std::string const& name, bool attention, Tokens const& tokens,
                                Array<2> const& d_y) {
  return attention ? CrossAttention(m, name, tokens.x).backward(m, name, tokens.x, d_y)
                   : weighted_sum_backward(m, name, tokens, d_y);
}

/// Group g of G contiguous groups of the inputs, as equal as possible, the larger first, dealt out one by one.
inline std::vector<std::size_t> group_sizes(std::size_t inputs, std::size_t groups) {
  std::vector<std::size_t> sizes(groups);
  for (std::size_t i = 0; i < inputs; ++i) ++sizes[i % groups];
  return sizes;
}

/// The tokens of a level's groups, counted within their group, without the groups that have none.
struct Part {
  std::size_t group;
  std::size_t first; // among the level's tokens
  Tokens tokens;
};
inline std::vector<Part> cut(Tokens const& tokens, std::size_t inputs, std::size_t groups) {
  std::vector<Part> parts;
  std::size_t begin = 0; // input
  std::size_t next = 0;  // token
  for (std::size_t g = 0; g < groups; ++g) {
    std::size_t const end = begin + group_sizes(inputs, groups)[g];
    Part part{g, next, {Array<3>({0, 0, 0}), {}}};
    for (; next < tokens.index.size() && tokens.index[next] < end; ++next)
      part.tokens.index.push_back(tokens.index[next] - begin);
    part.tokens.x = Array<3>({part.tokens.index.size(), tokens.x.extents[1], tokens.x.extents[2]});
    for (std::size_t i = 0; i < part.tokens.index.size(); ++i)
      set_token(part.tokens.x, i, token(tokens.x, part.first + i));
    if (!part.tokens.index.empty()) parts.push_back(part);
    begin = end;
  }
  return parts;
}

/// From level `level` upwards, by recursion.
inline Array<2> tree_forward(Model const& m, std::string const& name, std::vector<Level> const& levels,
                             std::size_t inputs, Tokens const& tokens, std::size_t level = 0) {
  if (level == levels.size()) return token(tokens.x, 0);
  auto const [attention, wanted_groups, shared] = levels[level];
  std::size_t const groups = wanted_groups < inputs ? wanted_groups : inputs;
  auto const parts = cut(tokens, inputs, groups);
  Tokens outputs{Array<3>({parts.size(), tokens.x.extents[1], tokens.x.extents[2]}), {}};
  for (auto const& part : parts) {
    auto const module = name + ".level" + std::to_string(level) + ".module" + std::to_string(shared ? 0 : part.group);
    set_token(outputs.x, outputs.index.size(), module_forward(m, module, attention, part.tokens));
    outputs.index.push_back(part.group);
  }
  return tree_forward(m, name, levels, groups, outputs, level + 1);
}

/// The gradient of the tokens; those of the weights are added to the model's.
inline Array<3> tree_backward(Model& m, std::string const& name, std::vector<Level> const& levels, std::size_t inputs,
                              Tokens const& tokens, Array<2> const& d_y, std::size_t level = 0) {
  if (level == levels.size()) return {{1, d_y.extents[0], d_y.extents[1]}, d_y.values};
  auto const [attention, wanted_groups, shared] = levels[level];
  std::size_t const groups = wanted_groups < inputs ? wanted_groups : inputs;
  auto const parts = cut(tokens, inputs, groups);
  Tokens outputs{Array<3>({parts.size(), tokens.x.extents[1], tokens.x.extents[2]}), {}};
  std::vector<std::string> modules;
  for (auto const& part : parts) {
    modules.push_back(name + ".level" + std::to_string(level) + ".module" + std::to_string(shared ? 0 : part.group));
    set_token(outputs.x, outputs.index.size(), module_forward(m, modules.back(), attention, part.tokens));
    outputs.index.push_back(part.group);
  }
  auto const d_outputs = tree_backward(m, name, levels, groups, outputs, d_y, level + 1);
  Array<3> d_tokens(tokens.x.extents);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    auto const d_part = module_backward(m, modules[i], attention, parts[i].tokens, token(d_outputs, i));
    for (std::size_t k = 0; k < d_part.extents[0]; ++k) set_token(d_tokens, parts[i].first + k, token(d_part, k));
  }
  return d_tokens;
}

/// x[c, n] = E[c] patch(c, n) + b[c] + v[c] of the given channels, one per plane of the cut.
inline Tokens tokenize(Model const& m, std::vector<std::size_t> const& channels, Array<4> const& image,
                       Cut const& cut) {
  auto const patches = gather_patches(image, cut);
  auto const [C, N, s] = patches.extents;
  Tokens tokens{Array<3>({C, N, m.width}), channels};
  for (std::size_t i = 0; i < C; ++i) {
    for (std::size_t n = 0; n < N; ++n) {
      for (std::size_t j = 0; j < m.width; ++j) {
        std::size_t const at = channels[i] * m.width + j;
        tokens.x(i, n, j) = m.weight("tokenizer.bias")[at] + m.weight("tokenizer.embedding")[at];
        for (std::size_t k = 0; k < s; ++k)
          tokens.x(i, n, j) += m.weight("tokenizer.weight")[at * s + k] * patches(i, n, k);
      }
    }
  }
  return tokens;
}

/// The gradient of the image, zero where no pixel was read.
inline Array<4> tokenize_backward(Model& m, std::vector<std::size_t> const& channels, Array<4> const& image,
                                  Cut const& cut, Array<3> const& d_tokens) {
  auto const patches = gather_patches(image, cut);
  auto const [C, N, s] = patches.extents;
  Array<3> d_patches(patches.extents);
  auto& d_weight = m.gradient("tokenizer.weight");
  auto& d_bias = m.gradient("tokenizer.bias");
  auto& d_embedding = m.gradient("tokenizer.embedding");
  for (std::size_t i = 0; i < C; ++i) {
    for (std::size_t n = 0; n < N; ++n) {
      for (std::size_t j = 0; j < m.width; ++j) {
        std::size_t const at = channels[i] * m.width + j;
        d_bias[at] += d_tokens(i, n, j);
        d_embedding[at] += d_tokens(i, n, j);
        for (std::size_t k = 0; k < s; ++k) {
          d_weight[at * s + k] += d_tokens(i, n, j) * patches(i, n, k);
          d_patches(i, n, k) += d_tokens(i, n, j) * m.weight("tokenizer.weight")[at * s + k];
        }
      }
    }
  }
  Array<4> d_image(image.extents);
  scatter_patches(d_patches, cut, d_image);
  return d_image;
}

} // namespace dchag::reference
