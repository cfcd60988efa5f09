# SPDX-License-Identifier: MIT
#
# The simulator decides millions of times: it and the core below it are compiled with optimisation.
OPTIMISED_TESTS += $(wildcard tests/sim/*.cpp)
$(call objects,$(wildcard tests/sim/*.cpp)): OBJ_FLAGS := -Itests -DBOOST_TEST_DYN_LINK -g1
