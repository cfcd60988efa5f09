# SPDX-License-Identifier: MIT
#
# build/tests/kcov.so, and which lines of the module its tests reach.

KCOV_SOURCES := tests/kcov/preload.cpp
ALL_SOURCES += $(KCOV_SOURCES)

$(BUILD)/tests/kcov.so: $(call objects,$(KCOV_SOURCES))
	$(call say,LD,$@) mkdir -p $(@D) && $(CXX) $(LDFLAGS_ALL) -shared $^ -o $@

coverage: tests $(BUILD)/tests/kcov.so ## which lines of the module its tests reach, on the debug kernel
	rm -rf build/coverage && mkdir -p build/coverage/logs
	tests/vm/run --kernel debug --numa --edu --timeout 3000 -- tests/kcov/run -k '$(SUITES)'
	tests/kcov/report
.PHONY: coverage
