# SPDX-License-Identifier: MIT
#
# One test file for each ioctl, as two programs from the same sources: build/tests/uapi, and
# build/tests/uapi32 for 32-bit callers. The latter has nothing of libaiaccel but
# what passes descriptors, and Boost.Test from its headers, because Debian's packages of libboost-test
# for two architectures exclude each other.
TEST_SOURCES_uapi := tests/kmod/raw.cpp tests/kmod/account.cpp tests/kmod/module.cpp tests/kmod/dma_buf.cpp

ifeq ($(SAN)$(shell uname -m),x86_64)
UAPI32_SOURCES := $(sort $(wildcard tests/uapi/*.cpp)) $(TEST_SOURCES_uapi) libaiaccel/broker/fds.cpp $(TAP_SOURCES) tests/tap/boost.cpp
UAPI32_OBJECTS := $(UAPI32_SOURCES:%=$(BUILD)/obj32/%.o)
UAPI32_FLAGS := -m32 -D_FILE_OFFSET_BITS=64 -DBOOST_TEST_ALTERNATIVE_INIT_API -Itests -O0 -g1
TEST_BINS += $(BUILD)/tests/uapi32

$(BUILD)/obj32/%.cpp.o: %.cpp
	$(call say,CXX32,$<) mkdir -p $(@D) && $(CXX) $(CPPFLAGS_ALL) $(CXXFLAGS_ALL) $(UAPI32_FLAGS) -c $< -o $@

$(BUILD)/tests/uapi32: $(UAPI32_OBJECTS)
	$(call say,LD32,$@) mkdir -p $(@D) && $(CXX) -m32 $(LDFLAGS_ALL) $^ -o $@

-include $(UAPI32_OBJECTS:%.o=%.d)
endif
