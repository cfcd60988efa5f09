# SPDX-License-Identifier: MIT
#
# What clang has to say of each source (.clang-tidy): build/tidy/SOURCE.log, and build/tidy/SOURCE
# where that is nothing. Objects know the headers, so what has not changed is not looked at again.

TIDY_SOURCES := $(sort $(filter libaiaccel/%.cpp tools/%.cpp,$(ALL_SOURCES)))
TIDY_FLAGS := $(filter-out -MMD -MP,$(CPPFLAGS_ALL)) -Itools $(filter-out -Werror,$(WARN)) -std=c++20 -pthread \
	-Wthread-safety -Wthread-safety-beta

$(BUILD)/tidy/%: $(BUILD)/obj/%.o .clang-tidy
	$(call say,TIDY,$*) mkdir -p $(@D) && rm -f $@ && clang-tidy --quiet $* -- $(TIDY_FLAGS) >$@.log 2>&1 && touch $@ || \
		{ cat $@.log; false; }

tidy: $(TIDY_SOURCES:%=$(BUILD)/tidy/%) ## clang's warnings and clang-tidy's
