# SPDX-License-Identifier: MIT
#
# On the broker the suite has a server of its own (own_broker.cpp).
TEST_SOURCES_conformance := tests/broker/server.cpp
