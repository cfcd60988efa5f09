# SPDX-License-Identifier: MIT
#
# The demo's parts that can be wrong by themselves: speech and load.
TEST_SOURCES_models := tools/aiaccel/speech.cpp tools/aiaccel/demo_load.cpp \
	$(sort $(wildcard tools/common/*.cpp))
