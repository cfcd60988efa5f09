# SPDX-License-Identifier: MIT
#
# The command is run as people run it.

TEST_SOURCES_policy := tests/tools/process.cpp tests/kmod/raw.cpp
