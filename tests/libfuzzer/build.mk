# SPDX-License-Identifier: MIT
#
# build/fuzz/NAME from tests/libfuzzer/NAME.cpp: one program a target, by clang with libFuzzer, ASan and
# UBSan. All share one archive of what they call; it is compiled here a second time, since the
# coverage that guides a fuzzer has to be in it.

FUZZ := build/fuzz
FUZZ_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g1
FUZZ_LIB := $(FUZZ)/libfuzzed.a
FUZZ_LIB_SOURCES := $(CORE_SOURCES) tests/core/sound.cpp \
	tests/sim/host.cpp tests/sim/oracle.cpp tests/sim/plan.cpp \
	$(wildcard libaiaccel/policy/*.cpp libaiaccel/host/*.cpp libaiaccel/user/*.cpp libaiaccel/broker/*.cpp libaiaccel/*.cpp) \
	$(wildcard libaiaccel/formats/*.cpp) $(patsubst %,libaiaccel/registry/%.cpp,io names record refs sha256 signing signing_bundle signing_keys store) \
	libaiaccel/memory/numa.cpp libaiaccel/models/tensor.cpp tools/aiacceld/connection.cpp \
	tools/aiaccel/inputs.cpp tools/aiaccel/speech.cpp \
	$(patsubst %,tools/common/%.cpp,text table failure) \
	$(patsubst %,tools/observe/%.cpp,files unit proc numa fdinfo xrt)
FUZZ_SOURCES := $(sort $(wildcard tests/libfuzzer/*.cpp))
FUZZ_BINS := $(FUZZ_SOURCES:tests/libfuzzer/%.cpp=$(FUZZ)/%)
fuzz_objects = $(patsubst %,$(FUZZ)/obj/%.o,$(1))

$(FUZZ)/obj/%.c.o: %.c
	$(call say,FUZZCC,$<) mkdir -p $(@D) && clang $(CPPFLAGS_ALL) -std=gnu11 $(WARN) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -c $< -o $@

$(FUZZ)/obj/%.cpp.o: %.cpp
	$(call say,FUZZCXX,$<) mkdir -p $(@D) && clang++ $(CPPFLAGS_ALL) -Itests -Itools -std=c++20 $(WARN) -pthread $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -c $< -o $@

$(FUZZ_LIB): $(call fuzz_objects,$(FUZZ_LIB_SOURCES))
	$(call say,AR,$@) rm -f $@ && ar rcs $@ $^

$(FUZZ_BINS): $(FUZZ)/%: $(FUZZ)/obj/tests/libfuzzer/%.cpp.o $(FUZZ_LIB)
	$(call say,FUZZLD,$@) clang++ -pthread $(FUZZ_FLAGS) -fsanitize=fuzzer $^ $(LIB_LDLIBS) $(REGISTRY_LDLIBS) -o $@

-include $(patsubst %.o,%.d,$(call fuzz_objects,$(FUZZ_LIB_SOURCES) $(FUZZ_SOURCES)))

.PHONY: fuzz-user
fuzz-user: $(FUZZ_BINS) ## fuzz the user-space targets of tests/libfuzzer for TIME=seconds in all
	tests/libfuzzer/run --time $(TIME)
