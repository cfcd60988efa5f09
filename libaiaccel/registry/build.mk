# SPDX-License-Identifier: MIT
#
# libaiaccel-registry: models and their versions in Git. A library of its own beside libaiaccel, which it
# links: who wants /dev/aiaccel alone should not have to link libgit2 and libcrypto.

REGISTRY_SOURCES := $(sort $(wildcard libaiaccel/registry/*.cpp))
REGISTRY_STATIC := $(BUILD)/lib/libaiaccel-registry.a
REGISTRY_SHARED := $(BUILD)/lib/libaiaccel-registry.so.$(SOVERSION)
REGISTRY_LDLIBS := -lgit2 -lcrypto
ALL_SOURCES += $(REGISTRY_SOURCES)

$(REGISTRY_STATIC): $(call objects,$(REGISTRY_SOURCES))
	$(call say,AR,$@) mkdir -p $(@D) && rm -f $@ && ar rcs $@ $^

$(REGISTRY_SHARED): $(call objects,$(REGISTRY_SOURCES)) $(LIB_SHARED) libaiaccel/registry/registry.map
	$(call say,LD,$@) mkdir -p $(@D) && $(CXX) -shared $(LDFLAGS_ALL) $(if $(SAN),,-Wl$(comma)-z$(comma)defs) \
		-Wl,-soname,$(@F) -Wl,--version-script=libaiaccel/registry/registry.map \
		$(call objects,$(REGISTRY_SOURCES)) $(LIB_SHARED) $(REGISTRY_LDLIBS) -lfmt -o $@

$(BUILD)/lib/libaiaccel-registry.so: $(REGISTRY_SHARED)
	$(call say,LN,$@) ln -sf $(<F) $@

lib: $(REGISTRY_STATIC) $(REGISTRY_SHARED) $(BUILD)/lib/libaiaccel-registry.so
