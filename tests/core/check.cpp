// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/core/check.hpp>

#include <doctest/doctest.h>

#include <vector>

namespace core_check {

using namespace dchag;

TEST_CASE("concat: writes its parts one after the other") {
  CHECK(concat("image has C = ", 7, ", expected ", 8.5) == "image has C = 7, expected 8.5");
}

TEST_CASE("require: throws the error asked for, with the sentence") {
  CHECK_NOTHROW(require(true, "never"));
  CHECK_THROWS_WITH_AS(require(false, "f: C is ", 7), "f: C is 7", ShapeError);
  CHECK_THROWS_WITH_AS(require<CommError>(false, "f: rank ", 3), "f: rank 3", CommError);
  CHECK_THROWS_AS(require(false, ""), Error);
  CHECK_THROWS_AS(require<Error>(false, ""), std::runtime_error);
}

TEST_CASE("shortened: a sentence quotes no more than it can hold, on one line") {
  CHECK(shortened("as it is", 8) == "as it is");
  CHECK(shortened("0123456789", 4) == "01... 6 bytes left out ...89");
  CHECK(shortened("a\nb\tc\x7f") == "a?b?c?");
  CHECK(shortened(std::string(400000, 'x')).size() < 160);
  std::string const letters = "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"; // no character is cut in two
  CHECK(shortened(letters, 6) == "\xc3\xa4... 4 bytes left out ...\xc3\xa4");
  CHECK(shortened(std::string(8, '\x80'), 4).size() < 40);
}

TEST_CASE("shape_text: writes any range of extents") {
  CHECK(shape_text(Extents<3>{2, 3, 5}) == "(2, 3, 5)");
  CHECK(shape_text(Extents<1>{0}) == "(0)");
  CHECK(shape_text(std::vector<int>{4, 1}) == "(4, 1)");
}

TEST_CASE("require_shape: names the view, what it has and what it should have") {
  HostTensor<float, 2> const view("view", 2, 3);
  CHECK(extents_of(view) == Extents<2>{2, 3});
  CHECK_NOTHROW(require_shape("linear", "input", view, {2, 3}));
  CHECK_THROWS_WITH_AS(require_shape("linear", "input", view, {2, 4}), "linear: input is (2, 3), expected (2, 4)",
                       ShapeError);
}

} // namespace core_check
