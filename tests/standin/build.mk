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

# Unmodified programs, one for each way of reaching CUDA: linked, looked up (with a plugin that is
# linked), and compiled by nvcc with NVIDIA's header, where there is one that takes this compiler.
STANDIN_PROGRAM := $(patsubst %,tests/standin/programs/%.cpp,program options)
STANDIN_LINKED := tests/standin/programs/reach_linked.cpp
STANDIN_LOADED := tests/standin/programs/reach_loaded.cpp
ALL_SOURCES += $(STANDIN_PROGRAM) $(STANDIN_LINKED) $(STANDIN_LOADED)
NVCC := $(firstword $(wildcard $(addsuffix /nvcc,$(subst :, ,$(PATH)) /usr/local/cuda/bin)))
STANDIN_PROGRAMS := $(patsubst %,$(BUILD)/standin/%,cuda-linked cuda-loaded cuda-plugin.so $(if $(NVCC),cuda-nvcc))
tests: $(STANDIN_PROGRAMS)
$(BUILD)/tests/standin $(BUILD)/tests/shim: | $(STANDIN_PROGRAMS)

$(BUILD)/standin/cuda-linked: $(call objects,$(STANDIN_PROGRAM) $(STANDIN_LINKED)) | $(STANDIN_LIBS)
	$(call say,LD,$@) $(CXX) $(LDFLAGS_ALL) $^ -L$(@D) -lcuda -o $@
$(BUILD)/standin/cuda-loaded: $(call objects,$(STANDIN_PROGRAM) $(STANDIN_LOADED)) | $(STANDIN_LIBS)
	$(call say,LD,$@) $(CXX) $(LDFLAGS_ALL) $^ -ldl -o $@
$(BUILD)/standin/cuda-plugin.so: $(STANDIN_LINKED) tests/standin/programs/reach.h tests/standin/api.h | $(STANDIN_LIBS)
	$(call say,CXX,$@) $(CXX) -Itests $(CXXFLAGS_ALL) -DSTANDIN_PLUGIN -shared $< -L$(@D) -lcuda -o $@
$(BUILD)/standin/cuda-nvcc: $(STANDIN_PROGRAM) $(STANDIN_LINKED) $(wildcard tests/standin/programs/*.h) tests/standin/api.h | $(STANDIN_LIBS)
	$(call say,NVCC,$@) $(NVCC) -std=c++20 -O1 -Itests -DSTANDIN_PLAIN_CUDA --default-stream per-thread \
		-x cu $(filter %.cpp,$^) -L$(@D) -lcuda -o $@ || echo '  nvcc cannot build it here: left out'
