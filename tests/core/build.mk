# SPDX-License-Identifier: MIT
#
# Some of the tests of the scheduler play a host of the simulator.
TEST_SOURCES_core := tests/sim/host.cpp
