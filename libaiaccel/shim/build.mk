# SPDX-License-Identifier: MIT
#
# The CUDA shim, which `aiaccel exec` preloads into programs that know nothing of it. So it brings what it
# needs of the library and of C++ with it and shows none of that, only what it stands in for.

SHIM_SOURCES := $(sort $(wildcard libaiaccel/shim/*.cpp libaiaccel/shim/*.S))
SHIM := $(BUILD)/lib/libaiaccel-cuda.so
ALL_SOURCES += $(SHIM_SOURCES)

$(BUILD)/obj/%.S.o: %.S
	$(call say,AS,$<) mkdir -p $(@D) && $(CC) -c $< -o $@

$(SHIM): $(call objects,$(SHIM_SOURCES)) $(LIB_STATIC) libaiaccel/shim/shim.map
	$(call say,LD,$@) mkdir -p $(@D) && $(CXX) -shared $(LDFLAGS_ALL) -Wl,-Bsymbolic $(if $(SAN),,-Wl$(comma)-z$(comma)defs) \
		$(if $(SAN),,-static-libstdc++ -static-libgcc) -Wl,--version-script=libaiaccel/shim/shim.map \
		$(call objects,$(SHIM_SOURCES)) $(LIB_STATIC) $(LIB_LDLIBS) -o $@

lib: $(SHIM)
