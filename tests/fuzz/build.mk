# SPDX-License-Identifier: MIT
#
# build/tests/fuzz is no Boost.Test program: its processes are forked, killed and exec'ed all the time.
OWN_MAIN_fuzz := 1
TEST_SOURCES_fuzz := tests/kmod/dma_buf.cpp

fuzz: build/tests/fuzz ## hostile processes on the module in the debug kernel, for TIME seconds; SEED= for the same again
	tests/vm/run --kernel debug --numa --edu --timeout $$(($(TIME) + 300)) -- build/tests/fuzz --time=$(TIME) $(if $(SEED),--seed=$(SEED))
.PHONY: fuzz
