// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/form.hpp>
#include <dchag/channels/tokenizer.hpp>

namespace dchag::detail {

/// Between the tokenizer and the trees: what a tree reads, and where the gradients of that go.
template <class ExecutionSpace, class T, AggregationForm Form>
struct TokenStage;

template <class ExecutionSpace, class T>
struct TokenStage<ExecutionSpace, T, Materialized> {
  using Context = Tensor<ExecutionSpace, T, 3>; // tokens (C, N, D)

  /// The tokens (C, N, D), made and kept.
  template <class Pixels>
  static Context const& forward(Workspace<ExecutionSpace>& workspace, Tokenizer<ExecutionSpace, T> const& tokenizer,
                                Context& tokens, TokenPlan<ExecutionSpace> const& plan, Image<Pixels> const& image) {
    std::size_t const N = image.pixels.extent(0) * tokenizer.positions(plan, image);
    reserve(workspace.exec(), tokens, "dchag::channels::tokens",
            Extents<3>{plan.tokens(), N, tokenizer.config().width});
    tokenizer.forward(workspace, plan, image, tokens);
    return tokens;
  }

  /// Calls f(tokens, d_tokens), which writes d_tokens; from them come the gradients of the weights and pixels.
  template <class Pixels, class DPixels, class F>
  static void backward(Workspace<ExecutionSpace>& workspace, Tokenizer<ExecutionSpace, T> const& tokenizer,
                       Context const& tokens, TokenPlan<ExecutionSpace> const& plan, Image<Pixels> const& image,
                       DPixels const& d_pixels, F const& f) {
    auto frame = workspace.frame();
    auto const d_tokens = frame.template take<T, 3>(extents_of(tokens));
    f(tokens, d_tokens);
    tokenizer.backward(workspace, plan, image, d_tokens, d_pixels);
  }
};

template <class ExecutionSpace, class T, FusedForm Form>
struct TokenStage<ExecutionSpace, T, Form> {
  struct Context {};

  /// The tokens as they are read where they are used.
  template <class Pixels>
  static auto forward(Workspace<ExecutionSpace>&, Tokenizer<ExecutionSpace, T> const& tokenizer, Context&,
                      TokenPlan<ExecutionSpace> const& plan, Image<Pixels> const& image) {
    return tokenizer.unmade_tokens(plan, image);
  }

  template <class Pixels, class DPixels, class F>
  static void backward(Workspace<ExecutionSpace>& workspace, Tokenizer<ExecutionSpace, T> const& tokenizer,
                       Context const&, TokenPlan<ExecutionSpace> const& plan, Image<Pixels> const& image,
                       DPixels const& d_pixels, F const& f) {
    f(tokenizer.unmade_tokens(plan, image), tokenizer.gradients(workspace.exec(), plan, image, d_pixels));
  }
};

} // namespace dchag::detail
