# SPDX-License-Identifier: MIT
#
# On the broker the tests have a server of their own, which others do not change.
TEST_SOURCES_memory := tests/conformance/device.cpp tests/broker/server.cpp
TEST_LIBS_memory := -lnuma
