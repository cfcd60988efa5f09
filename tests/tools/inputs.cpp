// SPDX-License-Identifier: MIT
//
// What `aiaccel run` feeds a model, and how it sums up what comes out.
#include "aiaccel/inputs.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

#include "aiaccel/summary.hpp"
#include "common/failure.hpp"
#include "tap/tap.hpp"

namespace {

using namespace tools;
using aiaccel::ElementType;
using aiaccel::Tensor;
using aiaccel::TensorInfo;

TensorInfo info(const std::string& name, ElementType type, aiaccel::Shape shape,
                std::vector<std::string> symbols = {}) {
  symbols.resize(shape.size());
  return {name, type, std::move(shape), std::move(symbols)};
}

const std::vector<TensorInfo> speech{info("input", ElementType::f32, {-1, -1}, {"batch", ""}),
                                     info("sr", ElementType::i64, {})};

// A file of `count` bytes 0, 1, 2, …, gone with the object.
class File {
 public:
  explicit File(std::size_t count)
      : path_("/tmp/aiaccel-test-input." + std::to_string(::getpid())) {
    std::ofstream file(path_, std::ios::binary);
    for (std::size_t i = 0; i < count; i++) file.put(static_cast<char>(i));
  }
  ~File() { std::filesystem::remove(path_); }
  std::string path() const { return path_; }

 private:
  std::string path_;
};

// The Failure that `call` throws, as `status: what`.
template <typename Call>
std::string failure_of(Call call) {
  try {
    call();
  } catch (const Failure& e) {
    return std::to_string(e.status()) + ": " + e.what();
  }
  return "none";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(inputs)

BOOST_AUTO_TEST_CASE(the_command_line_is_taken_apart) {
  const InputChoice choice =
      parse_choice({"x=a=b.bin"}, {"sr=16000", "y=-2.5e-3"}, {"batch=4", "input.1=576"});
  BOOST_TEST(choice.files.at("x") == "a=b.bin");
  BOOST_TEST(choice.values.at("sr") == 16000.0);
  BOOST_TEST(choice.values.at("y") == -2.5e-3);
  BOOST_TEST(choice.dimensions.at("batch") == 4);
  BOOST_TEST(choice.dimensions.at("input.1") == 576);
}

BOOST_AUTO_TEST_CASE(slips_of_the_pen_are_usage_errors) {
  BOOST_TEST(failure_of([] { parse_choice({"x"}, {}, {}); }) ==
             "2: 'x' is not of the form NAME=FILE");
  BOOST_TEST(failure_of([] { parse_choice({"=f"}, {}, {}); }).starts_with("2: "));
  BOOST_TEST(failure_of([] { parse_choice({}, {"x=1f"}, {}); }) == "2: '1f' is no number for 'x'");
  BOOST_TEST(failure_of([] { parse_choice({}, {}, {"n=-1"}); }) == "2: '-1' is no size for 'n'");
  BOOST_TEST(
      failure_of([] { parse_choice({}, {}, {"n=99999999999999999999"}); }).starts_with("2: "));
  BOOST_TEST(failure_of([] { make_inputs(speech, parse_choice({}, {}, {"bach=2"})); }) ==
             "2: the model has no free dimension 'bach'");
  BOOST_TEST(failure_of([] { make_inputs(speech, parse_choice({"inptu=f"}, {}, {})); }) ==
             "2: the model has no input 'inptu'");
  BOOST_TEST(failure_of([] { make_inputs(speech, parse_choice({"sr=f"}, {"sr=1"}, {})); }) ==
             "2: input 'sr' is given by --input and by --value");
}

BOOST_AUTO_TEST_CASE(free_dimensions_are_one_unless_given) {
  BOOST_TEST((make_inputs(speech, {})[0].tensor.shape() == aiaccel::Shape{1, 1}));
  const auto inputs = make_inputs(speech, parse_choice({}, {}, {"batch=3", "input.1=576"}));
  BOOST_TEST((inputs[0].tensor.shape() == aiaccel::Shape{3, 576}));
  BOOST_TEST(inputs[0].source == "generated");
  BOOST_TEST(inputs[1].tensor.shape().empty());
}

BOOST_AUTO_TEST_CASE(generated_numbers_are_small_and_the_same_each_time) {
  const InputChoice choice = parse_choice({}, {}, {"input.1=1000"});
  const auto once = make_inputs(speech, choice);
  const auto again = make_inputs(speech, choice);
  BOOST_TEST((once[0].tensor == again[0].tensor));
  const auto values = once[0].tensor.data<float>();
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  BOOST_TEST(*least >= -0.1f);
  BOOST_TEST(*most <= 0.1f);
  BOOST_TEST(*most - *least > 0.15f);
  BOOST_TEST(once[1].tensor.data<std::int64_t>()[0] == 0);
}

BOOST_AUTO_TEST_CASE(a_number_fills_an_input) {
  const auto inputs = make_inputs(speech, parse_choice({}, {"sr=16000", "input=0.5"}, {"batch=2"}));
  BOOST_TEST(inputs[1].tensor.data<std::int64_t>()[0] == 16000);
  BOOST_TEST(inputs[1].source == "filled");
  BOOST_TEST(inputs[0].tensor.data<float>()[1] == 0.5f);
}

BOOST_AUTO_TEST_CASE(a_number_that_the_type_cannot_hold_is_refused) {
  const auto fill = [](ElementType type, const std::string& number) {
    return failure_of(
        [&] { make_inputs({info("x", type, {})}, parse_choice({}, {"x=" + number}, {})); });
  };
  BOOST_TEST(fill(ElementType::i64, "1.5") == "2: input 'x' is int64 and cannot hold 1.5");
  BOOST_TEST(fill(ElementType::u8, "255") == "none");
  BOOST_TEST(fill(ElementType::u8, "256").starts_with("2: "));
  BOOST_TEST(fill(ElementType::u8, "-1").starts_with("2: "));
  BOOST_TEST(fill(ElementType::i8, "-128") == "none");
  BOOST_TEST(fill(ElementType::i8, "-129").starts_with("2: "));
  BOOST_TEST(fill(ElementType::i64, "9223372036854775808").starts_with("2: "));
  BOOST_TEST(fill(ElementType::f16, "1").starts_with("2: "));
}

BOOST_AUTO_TEST_CASE(a_file_gives_its_only_free_dimension) {
  const File file(24);
  const auto inputs = make_inputs(speech, parse_choice({"input=" + file.path()}, {}, {"batch=2"}));
  BOOST_TEST((inputs[0].tensor.shape() == aiaccel::Shape{2, 3}));
  BOOST_TEST(inputs[0].source == file.path());
  BOOST_TEST(static_cast<int>(inputs[0].tensor.bytes()[23]) == 23);
}

BOOST_AUTO_TEST_CASE(a_file_that_does_not_fit_says_by_how_much) {
  const File file(20);
  BOOST_TEST(failure_of([&] {
               make_inputs(speech, parse_choice({"input=" + file.path()}, {}, {"batch=2"}));
             }) ==
             "1: " + file.path() + " has 20 bytes, but input 'input' as float32[2, 1] takes 8");
  BOOST_TEST(failure_of([] { make_inputs(speech, parse_choice({"sr=/nonexistent"}, {}, {})); }) ==
             "1: cannot read /nonexistent: No such file or directory");
  BOOST_TEST(failure_of([] { make_inputs(speech, parse_choice({"sr=/tmp"}, {}, {})); }) ==
             "1: cannot read /tmp: Is a directory");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(summary)

BOOST_AUTO_TEST_CASE(the_numbers_of_a_tensor) {
  const Summary summary =
      summarise(Tensor::of<float>({10}, std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  BOOST_TEST(summary.elements == 10u);
  BOOST_TEST(summary.min.value() == 1.0);
  BOOST_TEST(summary.mean.value() == 5.5);
  BOOST_TEST(summary.max.value() == 10.0);
  BOOST_TEST(summary.first.size() == 8u);
  BOOST_TEST(summary.first.back() == 8.0);
}

BOOST_AUTO_TEST_CASE(what_is_not_finite_is_counted_apart) {
  const float inf = std::numeric_limits<float>::infinity();
  const Summary some =
      summarise(Tensor::of<float>({3}, std::vector<float>{std::nanf(""), 2, -inf}));
  BOOST_TEST(some.not_finite == 2u);
  BOOST_TEST(some.mean.value() == 2.0);
  const Summary none = summarise(Tensor::of<float>({1}, std::vector<float>{inf}));
  BOOST_TEST(!none.mean);
}

BOOST_AUTO_TEST_CASE(every_type_is_read_as_what_it_is) {
  BOOST_TEST(summarise(Tensor::scalar<std::int8_t>(-5)).min.value() == -5.0);
  BOOST_TEST(summarise(Tensor::scalar<std::uint64_t>(1ull << 40)).max.value() == std::ldexp(1, 40));
  const auto half = [](ElementType type, std::uint16_t bits) {
    return summarise(Tensor(type, {1}, std::as_bytes(std::span(&bits, 1)))).first.at(0);
  };
  BOOST_TEST(half(ElementType::f16, 0x3c00) == 1.0);
  BOOST_TEST(half(ElementType::f16, 0xc500) == -5.0);
  BOOST_TEST(half(ElementType::f16, 0x7bff) == 65504.0);
  BOOST_TEST(half(ElementType::f16, 0x0001) == std::ldexp(1, -24));
  BOOST_TEST(std::isinf(half(ElementType::f16, 0x7c00)));
  BOOST_TEST(std::isnan(half(ElementType::f16, 0x7e00)));
  BOOST_TEST(half(ElementType::bf16, 0x3f80) == 1.0);
  BOOST_TEST(half(ElementType::bf16, 0xc0a0) == -5.0);
}

BOOST_AUTO_TEST_CASE(complex_numbers_have_no_order) {
  const Summary summary = summarise(Tensor(ElementType::c64, {3}));
  BOOST_TEST(summary.elements == 3u);
  BOOST_TEST(!summary.min);
  BOOST_TEST(summary.first.empty());
}

BOOST_AUTO_TEST_SUITE_END()
