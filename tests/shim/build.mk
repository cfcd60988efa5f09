# SPDX-License-Identifier: MIT
#
# The shim's lease, apart from CUDA, and the shim itself as programs meet it.
TEST_SOURCES_shim := libaiaccel/shim/lease.cpp
