# SPDX-License-Identifier: MIT
#
# The shim's lease, apart from CUDA; and the shim as programs meet it that know nothing of it
# (client/), in front of the stand-in of a driver (tests/standin).
TEST_SOURCES_shim := libaiaccel/shim/lease.cpp tests/broker/server.cpp tests/conformance/device.cpp tests/conformance/child.cpp

SHIM_CLIENT := $(BUILD)/shim/client $(BUILD)/shim/client-linked $(BUILD)/shim/plugin.so $(BUILD)/shim/newer/libcuda.so.1
SHIM_CLIENT_SOURCES := $(patsubst %,tests/shim/client/%.cpp,main find ask storm)
SHIM_STANDIN := -L$(BUILD)/standin -Wl,-rpath,'$$ORIGIN/../standin' -Wl,--no-as-needed -lcuda
ALL_SOURCES += $(SHIM_CLIENT_SOURCES) tests/shim/client/linked.cpp tests/shim/client/find-linked.cpp tests/shim/client/newer.cpp

$(BUILD)/shim/client: $(call objects,$(SHIM_CLIENT_SOURCES))
	$(call say,LD,$@) mkdir -p $(@D) && $(CXX) $(LDFLAGS_ALL) $^ -o $@

$(BUILD)/shim/client-linked: $(call objects,$(patsubst %,tests/shim/client/%.cpp,main ask storm find-linked linked)) \
		$(BUILD)/standin/libcuda.so.1
	$(call say,LD,$@) mkdir -p $(@D) && $(CXX) $(LDFLAGS_ALL) $(filter %.o,$^) $(SHIM_STANDIN) -o $@

$(BUILD)/shim/plugin.so: $(call objects,tests/shim/client/linked.cpp) $(BUILD)/standin/libcuda.so.1
	$(call say,LD,$@) mkdir -p $(@D) && $(CXX) -shared $(LDFLAGS_ALL) $(filter %.o,$^) $(SHIM_STANDIN) -o $@

$(call objects,$(SHIM_CLIENT_SOURCES) tests/shim/client/find-linked.cpp tests/shim/client/linked.cpp): CPPFLAGS_ALL += -Itests/shim
$(BUILD)/tests/shim: | $(if $(SAN),,$(SHIM) $(SHIM_CLIENT))

$(BUILD)/shim/newer/libcuda.so.1: $(call objects,tests/shim/client/newer.cpp)
	$(call say,LD,$@) mkdir -p $(@D) && $(CXX) -shared -Wl,-soname,libcuda.so.1 $(LDFLAGS_ALL) $^ -o $@
