# SPDX-License-Identifier: MIT
#
# build/tests/NAME from tests/NAME/*.cpp and *.c: Boost.Test programs that speak TAP (tests/tap). A
# folder may have a build.mk of its own that sets TEST_SOURCES_NAME (sources of a tool under test),
# TEST_LIBS_NAME, TEST_ARCHIVES_NAME, or OWN_MAIN_NAME (it is no Boost.Test program).

# kcov, libfuzzer and bench are no such programs; what tests the module is no matter for sanitizers of user space.
TESTS := $(filter-out tap kcov libfuzzer bench $(if $(SAN),fuzz kmod uapi standin traced),$(sort $(patsubst tests/%/,%,$(dir $(wildcard tests/*/*.cpp)))))
TEST_BINS := $(TESTS:%=$(BUILD)/tests/%)
TAP_SOURCES := tests/tap/main.cpp

-include $(wildcard $(TESTS:%=tests/%/build.mk))
include tests/kcov/build.mk tests/bench/build.mk

$(foreach t,$(TESTS),$(eval $(call program,$(BUILD)/tests/$(t),$(sort $(wildcard tests/$(t)/*.cpp tests/$(t)/*.c)) $(if $(OWN_MAIN_$(t)),,$(TAP_SOURCES)) $(TEST_SOURCES_$(t)),-lboost_unit_test_framework $(TEST_LIBS_$(t)),$(TEST_ARCHIVES_$(t)))))
# The tests themselves are compiled to be compiled quickly: with sanitizers, optimising takes 4 times as long.
$(call objects,$(filter-out $(OPTIMISED_TESTS),$(filter tests/%,$(ALL_SOURCES)))): OBJ_FLAGS := -Itests -Itools -DBOOST_TEST_DYN_LINK -O0 -g1
$(call objects,$(BENCH_SOURCES)): OBJ_FLAGS := -Itests -Itools -g1

# Boost.Test's header is half of the time of most: it is compiled once. What has other flags reads it as text.
# (The compiler takes what is compiled where it finds it before the text.)
BOOST_PCH := $(BUILD)/pch/tap/boost.hpp.gch
BOOST_TESTS := $(filter-out $(OPTIMISED_TESTS),$(foreach t,$(TESTS),$(if $(OWN_MAIN_$(t)),,$(wildcard tests/$(t)/*.cpp))))
$(call objects,$(BOOST_TESTS)): OBJ_FLAGS := -I$(BUILD)/pch -include tap/boost.hpp -Itests -Itools -DBOOST_TEST_DYN_LINK -O0 -g1
$(call objects,$(BOOST_TESTS)): | $(BOOST_PCH)
$(BOOST_PCH): OBJ_FLAGS := -Itests -Itools -DBOOST_TEST_DYN_LINK -O0 -g1
$(BOOST_PCH): tests/tap/boost.hpp $(wildcard /usr/include/boost/version.hpp)
	$(call say,PCH,$<) mkdir -p $(@D) && $(CXX) $(CPPFLAGS_ALL) $(CXXFLAGS_ALL) $(OBJ_FLAGS) -x c++-header -c $< -o $@

tests: $(TEST_BINS) ## the test programs in build/tests

# Not of those: fuzz targets are built by another compiler, once, without the other sanitizers.
include tests/libfuzzer/build.mk
ifeq ($(SAN),)
tests: $(FUZZ_BINS) $(BENCH_BINS)
endif

include tests/build/tidy.mk
