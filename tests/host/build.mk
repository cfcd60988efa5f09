# SPDX-License-Identifier: MIT
#
# How aiacceld asks for GPUs is tested in here, with a driver that hangs.
TEST_SOURCES_host := tools/aiacceld/gpus.cpp tests/conformance/fail_new.cpp
$(BUILD)/tests/host: | $(if $(SAN),,build/standin/libnvidia-ml.so.1)
