# SPDX-License-Identifier: MIT
#
# build/bin/NAME from tools/NAME/*.cpp; tools/common/*.cpp is in each of them. Tools are linked with
# the archive, so that they run from the tree and reach what the library does not export.

TOOLS := $(filter-out common observe,$(sort $(patsubst tools/%/,%,$(dir $(wildcard tools/*/*.cpp)))))
TOOL_BINS := $(TOOLS:%=$(BUILD)/bin/%)
TOOL_COMMON := $(sort $(wildcard tools/common/*.cpp))
# What looks at the machine, for the tools that show it.
TOOL_OBSERVE := $(sort $(wildcard tools/observe/*.cpp))
TOOL_SOURCES_aiaccel := $(TOOL_OBSERVE)
TOOL_SOURCES_aiaccel-top := $(TOOL_OBSERVE)
TOOL_LIBS_aiaccel-top := -lncursesw -ltinfo
TOOL_LIBS_aiaccel := $(REGISTRY_LDLIBS)
TOOL_ARCHIVES_aiaccel := $(REGISTRY_STATIC)

$(foreach t,$(TOOLS),$(eval $(call program,$(BUILD)/bin/$(t),$(sort $(wildcard tools/$(t)/*.cpp)) $(TOOL_COMMON) $(TOOL_SOURCES_$(t)),$(TOOL_LIBS_$(t)),$(TOOL_ARCHIVES_$(t)))))
# Parsers of options and of JSON are what takes long to compile here: less debugging information, and no
# optimising with sanitizers.
$(call objects,$(filter tools/%,$(ALL_SOURCES))): OBJ_FLAGS := -Itools -g1 $(if $(SAN),-O0)

tools: $(TOOL_BINS) ## the programs in build/bin
