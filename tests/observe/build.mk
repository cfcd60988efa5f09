# SPDX-License-Identifier: MIT
#
# Everything that looks is tested in one program: the backend of NVML, tools/observe, and the tools that
# show it, run beside it.

TEST_SOURCES_observe := $(sort $(wildcard tools/observe/*.cpp tools/common/*.cpp)) tests/tools/process.cpp \
	$(patsubst %,tools/aiaccel/%.cpp,findings process_findings)
TEST_LIBS_observe := -lnuma
