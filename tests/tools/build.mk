# SPDX-License-Identifier: MIT
#
# What of the tools is tested without running them: all that neither asks the machine nor owns a screen.

TEST_SOURCES_tools := $(sort $(wildcard tools/common/*.cpp tools/observe/*.cpp)) \
	$(patsubst %,tools/aiaccel/%.cpp,analysis findings inputs process_findings summary waiting) \
	$(patsubst %,tools/aiaccel-top/%.cpp,report layout json) \
	tests/broker/server.cpp tests/broker/gpus.cpp tests/conformance/device.cpp tests/conformance/child.cpp
# Some cases have a broker of their own, with GPUs.
$(BUILD)/tests/tools: | $(if $(SAN),,build/standin/libnvidia-ml.so.1)
