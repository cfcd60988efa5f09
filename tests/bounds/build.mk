# SPDX-License-Identifier: MIT
#
# They share the conformance suite's helpers, and its transports but `embedded`: run with `-- --transport=…`.
TEST_SOURCES_bounds := tests/conformance/child.cpp tests/conformance/device.cpp tests/broker/server.cpp tests/broker/gpus.cpp tests/kmod/raw.cpp tests/kmod/module.cpp
$(BUILD)/tests/bounds: | $(if $(SAN),,build/standin/libnvidia-ml.so.1)
