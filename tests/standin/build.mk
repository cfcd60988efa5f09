# SPDX-License-Identifier: MIT
#
# What stands for a GPU: build/standin/libcuda.so.1, built without sanitizers. It is loaded by name
# only (LD_LIBRARY_PATH=build/standin), so nothing outside that folder finds it by chance.

STANDIN_CUDA := $(sort $(wildcard tests/standin/cuda/*.cpp))
ALL_SOURCES += $(STANDIN_CUDA)
OPTIMISED_TESTS += $(STANDIN_CUDA)
tests: $(BUILD)/standin/libcuda.so.1

# Never unloaded: it has threads.
$(BUILD)/standin/libcuda.so.1: $(call objects,$(STANDIN_CUDA))
	$(call say,LD,$@) mkdir -p $(@D) && $(CXX) -shared -Wl,-soname,libcuda.so.1 -Wl,-z,defs -Wl,-z,nodelete \
		$(LDFLAGS_ALL) $^ -o $@ && ln -sf libcuda.so.1 $(@D)/libcuda.so

# The test program is linked with it, as programs are.
TEST_LIBS_standin := -L$(BUILD)/standin -lcuda -Wl,-rpath,'$$$$ORIGIN/../standin'
$(BUILD)/tests/standin: | $(BUILD)/standin/libcuda.so.1
