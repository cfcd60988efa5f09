# SPDX-License-Identifier: MIT
#
# build/bench/NAME from tests/bench/NAME.cpp: a program a benchmark, and `report`, which puts together
# what they print. `make bench` measures; it is no part of `make check`.

BENCH_SOURCES := $(sort $(wildcard tests/bench/*.cpp))
BENCH_BINS := $(BENCH_SOURCES:tests/bench/%.cpp=build/bench/%)

BENCH_LIBS_models_registry := $(REGISTRY_LDLIBS)
BENCH_ARCHIVES_models_registry := $(REGISTRY_STATIC)
bench_name = $(basename $(notdir $(1)))
$(foreach s,$(BENCH_SOURCES),$(eval $(call program,build/bench/$(call bench_name,$(s)),$(s) $(TOOL_COMMON),$(BENCH_LIBS_$(call bench_name,$(s))),$(BENCH_ARCHIVES_$(call bench_name,$(s))))))

bench: ## measure against peers; a table, and the samples in build/bench.json
	scripts/setup check
	$(build) all $(STANDIN_LIBS) $(BENCH_BINS)
	tests/bench/run $(BENCHES)
.PHONY: bench
