# SPDX-License-Identifier: MIT
#
# build/bench/NAME from tests/bench/NAME.cpp: a program a benchmark, and `report`, which puts together
# what they print. `make bench` measures; it is no part of `make check`.

BENCH_SOURCES := $(sort $(wildcard tests/bench/*.cpp))
BENCH_BINS := $(BENCH_SOURCES:tests/bench/%.cpp=build/bench/%)

$(foreach s,$(BENCH_SOURCES),$(eval $(call program,build/bench/$(basename $(notdir $(s))),$(s) $(TOOL_COMMON),)))

bench: ## measure against peers; a table, and the samples in build/bench.json
	scripts/setup check
	$(build) all $(STANDIN_LIBS) $(BENCH_BINS)
	tests/bench/run $(BENCHES)
.PHONY: bench
