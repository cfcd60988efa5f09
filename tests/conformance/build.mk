# SPDX-License-Identifier: MIT
#
# On the broker the suite has a server of its own, which has a GPU (own_broker.cpp).
TEST_SOURCES_conformance := tests/broker/server.cpp tests/broker/gpus.cpp
$(BUILD)/tests/conformance: | $(if $(SAN),,build/standin/libnvidia-ml.so.1)
