# SPDX-License-Identifier: MIT
#
# The commands are run as people run them.

TEST_SOURCES_exec := tests/tools/process.cpp
