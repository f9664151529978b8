// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/core/random.hpp>
#include <dchag/train/detail/file.hpp>
#include <dchag/train/metadata.hpp>

#include <doctest/doctest.h>

#include <support/sentence.hpp>

namespace train_safetensors {

using namespace dchag;
using test::sentence_of;

namespace {

SafetensorsHeader parse(std::string const& json, std::size_t data_bytes) {
  return parse_safetensors_header("f", json, 8 + json.size() + data_bytes);
}
std::string complaint(std::string const& json, std::size_t data_bytes = 8) {
  auto const sentence = sentence_of([&] { parse(json, data_bytes); });
  std::string const start = "safetensors: 'f': ";
  return sentence.rfind(start, 0) == 0 ? sentence.substr(start.size()) : concat("? ", sentence);
}

} // namespace

TEST_CASE("header: what is written is read, padded so that data is aligned") {
  SafetensorsHeader header{{{"b", DType::f64, {2, 3}}, {"a", DType::f32, {5}}, {"\xc3\xa4\"\\\n", DType::f32, {}}},
                           {{"step", "42"}, {"text", "a \"b\""}},
                           0};
  auto const text = make_safetensors_header(header);
  CHECK(text.size() % 64 == 0);
  CHECK(text.substr(text.find_last_not_of(' ')).front() == '}');
  CHECK(header.file_bytes == text.size() + 48 + 20 + 4);
  CHECK(safetensors_header_length("f", text, header.file_bytes) == text.size() - 8);
  auto const found = parse_safetensors_header("f", std::string_view(text).substr(8), header.file_bytes);
  CHECK(found.metadata == header.metadata);
  REQUIRE(found.tensors.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(found.tensors[i].name == header.tensors[i].name);
    CHECK(found.tensors[i].dtype == header.tensors[i].dtype);
    CHECK(found.tensors[i].shape == header.tensors[i].shape);
    CHECK(found.tensors[i].begin == header.tensors[i].begin);
    CHECK(found.tensors[i].end == header.tensors[i].end);
  }
  CHECK(found.tensors[0].size() == 6);
  CHECK(found.find("a") == &found.tensors[1]);
  CHECK(found.find("c") == nullptr);
}

TEST_CASE("header: names that are no text, or taken, are not written") {
  SafetensorsHeader twice{{{"a", DType::f32, {1}}, {"a", DType::f32, {1}}}, {}, 0};
  CHECK(sentence_of([&] { make_safetensors_header(twice); }) == "safetensors: the name 'a' is taken");
  SafetensorsHeader latin1{{{"\xe4", DType::f32, {1}}}, {}, 0};
  CHECK(sentence_of([&] { make_safetensors_header(latin1); }) == "a name or text to be stored is not UTF-8");
}

TEST_CASE("header: one that is longer than may be read is not written") {
  SafetensorsHeader header{{}, {{"t", std::string(SafetensorsHeader::longest - 20, 'x')}}, 0};
  CHECK(sentence_of([&] { make_safetensors_header(header); }) ==
        "safetensors: the header of 0 tensors and 1 texts has 100000056 bytes, expected at most 100000000");
}

TEST_CASE("header: files of other writers") {
  auto const found = parse(R"({"w":{"shape":[2],"data_offsets":[0,4],"dtype":"BF16"},
                              "n":{"dtype":"I64","shape":[],"data_offsets":[4,12]},
                              "e":{"dtype":"F32","shape":[0,7],"data_offsets":[4,4]}}  )",
                           12);
  REQUIRE(found.tensors.size() == 3);
  CHECK(found.tensors[0].name == "w");
  CHECK(found.tensors[1].name == "e");
  CHECK(found.tensors[2].dtype == DType::i64);
  CHECK(parse("{}", 0).tensors.empty());
}

TEST_CASE("header: a length that the file does not have") {
  auto const length = [](std::uint64_t n, std::size_t file_bytes) {
    std::string first(8, '\0');
    std::memcpy(first.data(), &n, 8);
    return sentence_of(
        [&] { safetensors_header_length("f", first.substr(0, std::min<std::size_t>(8, file_bytes)), file_bytes); });
  };
  CHECK(length(2, 10).empty());
  CHECK(length(0, 7) == "safetensors: 'f': the file has 7 bytes, expected at least 8");
  CHECK(length(3, 10) == "safetensors: 'f': the header has 3 bytes, but only 2 follow in the file");
  CHECK(length(~std::uint64_t{0}, 10) ==
        "safetensors: 'f': the header has 18446744073709551615 bytes, but only 2 follow in the file");
  CHECK(length(100000001, 200000000) == "safetensors: 'f': the header has 100000001 bytes, expected at most 100000000");
}

TEST_CASE("header: everything that can be wrong is said in one sentence") {
  auto const tensor = [](std::string const& shape, std::string const& offsets, std::string const& dtype = "\"F32\"") {
    return "{\"w\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}";
  };
  CHECK(complaint(tensor("[2]", "[0,8]")) == "? "); // nothing is wrong
  CHECK(complaint("") == "the header does not begin with {");
  CHECK(complaint("[]") == "the header does not begin with {");
  CHECK(complaint("{\"w\":") == "the header of 5 bytes is not JSON in UTF-8: wrong at byte 6");
  CHECK(complaint("{\"\xe4\":1}") == "the header of 7 bytes is not JSON in UTF-8: wrong at byte 4");
  CHECK(complaint("{\"w\":1e999}") == "the header of 11 bytes is not JSON: it has a number out of range");
  CHECK(complaint("{} {}") == "the header of 5 bytes is not JSON in UTF-8: wrong at byte 4");
  CHECK(complaint("{\"w\":{},\"w\":{}}") == "the header has the name 'w' twice");
  CHECK(complaint("{\"w\":7}") == "'w' is 7, expected dtype, shape and data_offsets");
  CHECK(complaint("{\"w\":{\"dtype\":\"F32\",\"shape\":[2]}}") ==
        "'w' is {\"dtype\":\"F32\",\"shape\":[2]}, expected dtype, shape and data_offsets");
  CHECK(complaint("{\"__metadata__\":[]}") == "__metadata__ is [], expected names and texts");
  CHECK(complaint("{\"__metadata__\":{\"a\":1}}") == "'a' in __metadata__ is 1, expected a text");
  CHECK(complaint(tensor("[2]", "[0,8]", "\"F33\"")) == "'w' has dtype \"F33\", expected F32, F64, F16, BF16, ...");
  CHECK(complaint(tensor("[2]", "[0,8]", "32")) == "'w' has dtype 32, expected F32, F64, F16, BF16, ...");
  CHECK(complaint(tensor("2", "[0,8]")) == "'w' has shape 2, expected a list");
  CHECK(complaint(tensor("[-2]", "[0,8]")) == "'w' has -2 in its shape, expected whole numbers from 0 to 2^64 - 1");
  CHECK(complaint(tensor("[2.0]", "[0,8]")) == "'w' has 2.0 in its shape, expected whole numbers from 0 to 2^64 - 1");
  CHECK(complaint(tensor("[3]", "[0,8]")) == "'w' has 8 bytes, expected 12 for F32 (3)");
  CHECK(complaint(tensor("[4294967296,4294967296]", "[0,8]")) ==
        "'w' has shape (4294967296, 4294967296), which is more than 2^64 bytes");
  CHECK(complaint(tensor("[2]", "[0,9]")) ==
        "'w' has data_offsets [0,9], expected two ascending offsets within the 8 bytes of data");
  CHECK(complaint(tensor("[2]", "[8,0]")) ==
        "'w' has data_offsets [8,0], expected two ascending offsets within the 8 bytes of data");
  CHECK(complaint(tensor("[2]", "[0]")) ==
        "'w' has data_offsets [0], expected two ascending offsets within the 8 bytes of data");
  CHECK(complaint(tensor("[1]", "[4,8]")) ==
        "'w' begins at byte 4 of the data, expected 0, where the tensor before it ends");
  CHECK(complaint(tensor("[2]", "[0,8]"), 9) == "the tensors end at byte 70, but the file has 71 bytes");
  CHECK(complaint(R"({"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                  R"("w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})") ==
        "'w' begins at byte 4 of the data, expected 8, where the tensor before it ends");
}

TEST_CASE("header: whatever is changed in it, it is read or refused with an Error") {
  SafetensorsHeader header{{{"b", DType::f64, {2, 3}}, {"a", DType::f32, {5}}}, {{"step", "42"}}, 0};
  std::string const whole = make_safetensors_header(header).substr(8);
  std::string const letters = "{}[]\":,0123456789eE.-+\\u \x80\xff\nabF";
  Random const random(1, "headers");
  std::size_t refused = 0, read = 0;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    std::string json = whole;
    auto const changes = 1 + random.bits(i)[0] % 4;
    for (std::uint32_t change = 1; change <= changes; ++change) {
      auto const [where, what, how, count] = random.bits(i, change);
      std::size_t const at = where % json.size();
      switch (how % 3) {
      case 0:
        json[at] = letters[what % letters.size()];
        break;
      case 1:
        json.erase(at, 1 + count % 9);
        break;
      default:
        json.insert(at, json.substr(what % json.size(), 1 + count % 9));
      }
      if (json.empty()) json.assign(1, '{');
    }
    try {
      auto const found = parse(json, 68);
      ++read;
      std::size_t next = 8 + json.size();
      for (auto const& tensor : found.tensors) {
        CHECK(tensor.begin == next);
        next = tensor.end;
      }
      CHECK(next == found.file_bytes);
    } catch (Error const&) {
      ++refused;
    }
  }
  CHECK(refused + read == 20000);
  CHECK(refused > 15000);
  CHECK(read > 100); // changes in names and in the padding
}

TEST_CASE("header: brackets that would overflow the stack") {
  std::string const deep = "{\"w\":" + std::string(100000, '[') + std::string(100000, ']') + "}";
  CHECK(complaint(deep) == "the header nests lists deeper than 32");
}

TEST_CASE_TEMPLATE("convert: numbers of 16, 32 and 64 bits", T, float, double) {
  auto const converted = [](DType dtype, auto const& stored) {
    std::vector<T> numbers(stored.size());
    convert(dtype, stored.data(), stored.size(), numbers.data());
    return numbers;
  };
  CHECK(converted(DType::f32, std::vector<float>{1.5f, -0.1f}) == std::vector<T>{T(1.5f), T(-0.1f)});
  CHECK(converted(DType::f64, std::vector<double>{1.5, -0.1}) == std::vector<T>{T(1.5), T(-0.1)});
  CHECK(converted(DType::bf16, std::vector<std::uint16_t>{0x3f80, 0xc040, 0x7f80}) ==
        std::vector<T>{1, -3, std::numeric_limits<T>::infinity()});
  // one, the largest, the smallest normal, the largest and smallest subnormal, -0, infinity: the standard's own values
  CHECK(
      converted(DType::f16, std::vector<std::uint16_t>{0x3c00, 0x7bff, 0x0400, 0x03ff, 0x8001, 0x8000, 0xfc00}) ==
      std::vector<T>{1, 65504, T(0x1p-14), T(0x1p-14 - 0x1p-24), T(-0x1p-24), 0, -std::numeric_limits<T>::infinity()});
  CHECK(math::is_nan(converted(DType::f16, std::vector<std::uint16_t>{0x7e00})[0]));
  T unread = 0;
  CHECK(sentence_of([&] { convert(DType::i32, "1234", 1, &unread); }) ==
        "convert: numbers are I32, expected F16, BF16, F32 or F64");
}

TEST_CASE("Metadata: gives back what it was given") {
  Metadata const metadata{{"step", 42}, {"seed", ~std::uint64_t{0}}, {"rate", 0.1}, {"flag", true}, {"data", "neon"}};
  CHECK(metadata.get<int>("step") == 42);
  CHECK(metadata.get<std::uint64_t>("seed") == ~std::uint64_t{0});
  CHECK(metadata.get<double>("rate") == 0.1);
  CHECK(metadata.get<bool>("flag"));
  CHECK(metadata.get<std::string>("data") == "neon");
  CHECK_FALSE(metadata.contains("other"));
  CHECK(sentence_of([&] { metadata.get<int>("other"); }) == "Metadata: there is no 'other'");
  CHECK(sentence_of([&] { metadata.get<int>("data"); }) == "Metadata: 'data' is 'neon', expected a number that fits");
  CHECK(sentence_of([&] { metadata.get<int>("seed"); }).find("expected a number that fits") != std::string::npos);
  CHECK(sentence_of([&] { metadata.get<bool>("step"); }) == "Metadata: 'step' is '42', expected true or false");
  CHECK(sentence_of([] { Metadata{{"a", 1}, {"a", 2}}; }) == "Metadata: 'a' is there twice");
}

TEST_CASE("File: says what failed, and on which file") {
  CHECK(sentence_of([] { detail::File::read("/nowhere/f"); }) ==
        "File: cannot read '/nowhere/f': No such file or directory");
  if (std::filesystem::exists("/dev/full"))
    CHECK(sentence_of([] { detail::File::modify("/dev/full").write(0, "1234", 4); }) ==
          "File: cannot write 4 bytes at byte 0 of '/dev/full': No space left on device");
}

} // namespace train_safetensors
