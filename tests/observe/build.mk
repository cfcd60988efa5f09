# SPDX-License-Identifier: MIT
#
# Everything that looks is tested in one program: the backend of NVML, and tools/observe.

TEST_SOURCES_observe := $(sort $(wildcard tools/observe/*.cpp tools/common/*.cpp))
