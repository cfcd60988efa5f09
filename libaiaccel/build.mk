# SPDX-License-Identifier: MIT
#
# libaiaccel: one set of objects (position independent, hidden visibility) makes both libraries. The
# shared one exports only what aiaccel.map names; the archive lets tests and tools reach the rest.

LIB_SOURCES := $(sort $(filter-out libaiaccel/shim/% libaiaccel/registry/%,$(shell find libaiaccel -name '*.cpp' -o -name '*.c')))
CORE_SOURCES := $(sort $(wildcard kmod/core/*.c))
LIB_OBJECTS := $(call objects,$(LIB_SOURCES) $(CORE_SOURCES))
LIB_LDLIBS := -lfmt -lnuma -ldl
ALL_SOURCES += $(LIB_SOURCES) $(CORE_SOURCES)

# The core is the same code as in the module: no hosted C library, and no vectors: a time
# of two words, just written word by word, would be read as one, for which the processor has to wait.
$(call objects,$(CORE_SOURCES)): OBJ_FLAGS := -ffreestanding -fno-tree-slp-vectorize

lib: $(LIB_STATIC) $(LIB_SHARED) $(BUILD)/lib/libaiaccel.so ## libaiaccel, shared and static

$(LIB_STATIC): $(LIB_OBJECTS)
	$(call say,AR,$@) mkdir -p $(@D) && rm -f $@ && ar rcs $@ $^

$(LIB_SHARED): $(LIB_OBJECTS) libaiaccel/aiaccel.map
	$(call say,LD,$@) mkdir -p $(@D) && $(CXX) -shared $(LDFLAGS_ALL) $(if $(SAN),,-Wl$(comma)-z$(comma)defs) \
		-Wl,-soname,$(@F) -Wl,--version-script=libaiaccel/aiaccel.map $(LIB_OBJECTS) $(LIB_LDLIBS) -o $@

$(BUILD)/lib/libaiaccel.so: $(LIB_SHARED)
	$(call say,LN,$@) ln -sf $(<F) $@

include libaiaccel/shim/build.mk libaiaccel/registry/build.mk
