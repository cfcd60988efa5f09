# SPDX-License-Identifier: MIT
#
# What stands for a GPU: build/standin/libcuda.so.1 and libnvidia-ml.so.1, built without sanitizers.
# They are found by who is told (LD_LIBRARY_PATH=build/standin) and by nobody else.

STANDIN_CUDA := $(sort $(wildcard tests/standin/cuda/*.cpp))
STANDIN_NVML := $(sort $(wildcard tests/standin/nvml/*.cpp)) tests/standin/cuda/shared.cpp
STANDIN_LIBS := $(BUILD)/standin/libcuda.so.1 $(BUILD)/standin/libnvidia-ml.so.1
ALL_SOURCES += $(STANDIN_CUDA) $(STANDIN_NVML)
OPTIMISED_TESTS += $(STANDIN_CUDA)
tests: $(STANDIN_LIBS)

$(BUILD)/standin/libcuda.so.1: $(call objects,$(STANDIN_CUDA))
$(BUILD)/standin/libnvidia-ml.so.1: $(call objects,$(STANDIN_NVML))
# Never unloaded: it may have threads.
$(STANDIN_LIBS):
	$(call say,LD,$@) mkdir -p $(@D) && $(CXX) -shared -Wl,-soname,$(@F) -Wl,-z,defs -Wl,-z,nodelete \
		$(LDFLAGS_ALL) $^ -ldl -o $@ && ln -sf $(@F) $(@D)/$(basename $(@F))

# The test program is linked with libcuda, as programs are.
TEST_LIBS_standin := -L$(BUILD)/standin -lcuda -Wl,-rpath,'$$$$ORIGIN/../standin'
TEST_SOURCES_standin := libaiaccel/backends/nvml.cpp
$(BUILD)/tests/standin: | $(STANDIN_LIBS)
