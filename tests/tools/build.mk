# SPDX-License-Identifier: MIT
#
# What of the tools is tested without running them: all that neither asks the machine nor owns a screen.

TEST_SOURCES_tools := $(sort $(wildcard tools/common/*.cpp tools/observe/*.cpp)) \
	$(patsubst %,tools/aiaccel/%.cpp,analysis findings inputs process_findings summary) \
	$(patsubst %,tools/aiaccel-top/%.cpp,report layout json)
