// SPDX-License-Identifier: MIT
//
// Tensors: sizes that do not fit, and views.

#include <tap/tap.hpp>

#include <cerrno>
#include <limits>

#include "fixture.hpp"

using namespace aiaccel;
using fixture::contains;
using fixture::error_of;

BOOST_AUTO_TEST_SUITE(tensor)

BOOST_AUTO_TEST_CASE(holds_what_it_was_given) {
  const float values[] = {1, 2, 3, 4, 5, 6};
  Tensor tensor = Tensor::of<float>({2, 3}, values);
  BOOST_TEST(tensor.bytes().size() == 24u);
  BOOST_TEST(tensor.data<float>()[5] == 6.0f);
  Tensor copy = tensor;
  copy.data<float>()[0] = 9;
  BOOST_TEST(tensor.data<float>()[0] == 1.0f);
  BOOST_TEST(!(copy == tensor));
  TensorView view = tensor;
  BOOST_TEST(static_cast<const void*>(view.bytes.data()) ==
             static_cast<const void*>(tensor.bytes().data()));
  BOOST_TEST(Tensor::scalar<std::int64_t>(16000).data<std::int64_t>().size() == 1u);
  BOOST_TEST(Tensor(ElementType::f32, {2, 0, 4}).bytes().empty());
}

BOOST_AUTO_TEST_CASE(refuses_sizes_that_do_not_fit) {
  constexpr std::int64_t max = std::numeric_limits<std::int64_t>::max();
  BOOST_TEST(error_of([] { Tensor(ElementType::f32, {3, -1}); }).first == EINVAL);
  BOOST_TEST(error_of([] { tensor_bytes(ElementType::f32, Shape{max, 4}); }).first == EOVERFLOW);
  BOOST_TEST(error_of([] {
               tensor_bytes(ElementType::u8, Shape{1LL << 32, 1LL << 32});
             }).first == EOVERFLOW);
  BOOST_TEST(error_of([] { Tensor(ElementType::string, {1}); }).first == EOPNOTSUPP);
  // Nothing wraps behind a dimension of zero either.
  BOOST_TEST(tensor_bytes(ElementType::f64, Shape{max, 0, max}) == 0u);
  auto [code, what] = error_of([] { Tensor::of<float>({2, 2}, std::vector<float>(3)); });
  BOOST_TEST(code == EINVAL);
  BOOST_TEST(contains(what, "float32[2, 2] takes 16 bytes, and 12 are given"), what);
}

BOOST_AUTO_TEST_CASE(refuses_to_be_read_as_another_type) {
  Tensor tensor(ElementType::f32, {4});
  auto [code, what] = error_of([&] { tensor.data<std::int32_t>(); });
  BOOST_TEST(code == EINVAL);
  BOOST_TEST(contains(what, "float32[4] is read as int32"), what);
}

BOOST_AUTO_TEST_CASE(describes_itself) {
  TensorInfo info{"state", ElementType::f32, {2, -1, 128, -1}, {"", "batch", "", ""}};
  BOOST_TEST(to_string(info) == "state: float32[2, batch, 128, ?]");
}

BOOST_AUTO_TEST_SUITE_END()
