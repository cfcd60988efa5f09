# SPDX-License-Identifier: MIT
#
# The simulator decides millions of times: it and the core below it are compiled with optimisation.
SIM_SOURCES := $(wildcard tests/sim/*.cpp) tests/core/sound.cpp
OPTIMISED_TESTS += $(SIM_SOURCES)
TEST_SOURCES_sim := tests/core/sound.cpp
$(call objects,$(SIM_SOURCES)): OBJ_FLAGS := -Itests -DBOOST_TEST_DYN_LINK -g1

sim: $(BUILD)/tests/sim ## the simulator's figures in full, for docs/simulator.md; takes ten minutes
	AIACCEL_SIM_FULL=1 AIACCEL_TEST_LIMIT=7200 $< --log_level=message

plots: $(BUILD)/tests/sim ## draw the pictures of docs/simulator.md again
	AIACCEL_SIM_DRAW=1 $< -t plots
.PHONY: sim plots
