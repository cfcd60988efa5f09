# SPDX-License-Identifier: MIT
#
# The broker's own tests share the conformance suite's helpers; run with `-- --transport=broker`.
TEST_SOURCES_broker := tests/conformance/child.cpp tests/conformance/device.cpp
# Some cases give their broker GPUs.
$(BUILD)/tests/broker: | $(if $(SAN),,build/standin/libnvidia-ml.so.1)
