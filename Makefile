# SPDX-License-Identifier: MIT
#
# The one Makefile: non-recursive, everything it makes lies under build/.
#
# Each part lists what it builds in its build.mk with the rules given here, and finds its sources by
# wildcard, so that a new source file needs no edit. The targets that install packages (demo, check)
# call make again after setup, because what is found while reading this file (kernel headers,
# sources) may only exist by then.
#
#   V=1                      show the commands
#   SAN=address,undefined    sanitizer flavour, built under build/asan (SAN=thread: build/tsan)
#   CC= CXX= CFLAGS= CXXFLAGS= LDFLAGS=    as usual
#   KVER=                    kernel for `make modules`: the newest installed with headers unless given
#   DESTDIR= PREFIX=         for `make install`
#   KERNELS=                 for check-kernels: stock, a suite of Debian, a release in /boot
#   TIME= SEED=              for fuzz (and TIME for fuzz-user): seconds; the same steps again
#   SUITES=                  for coverage: only suites whose name matches
#   STANDIN=1                `make check-gpu` on the stand-in for a GPU, to test the check
#   VM=1                     `make demo` inside the virtual machine, on the real module

VERSION := $(shell cat VERSION)
SOVERSION := 0

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif
CFLAGS ?= -O2 -g
CXXFLAGS ?= -O2 -g

ifeq ($(SAN),)
BUILD := build
else ifeq ($(SAN),thread)
BUILD := build/tsan
else
BUILD := build/asan
endif
ifneq ($(SAN),)
SAN_FLAGS := -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g1
endif

WARN := -Wall -Wextra -Werror
CPPFLAGS_ALL := -Iinclude -Ikmod -Ilibaiaccel -DAIACCEL_VERSION='"$(VERSION)"' -MMD -MP $(CPPFLAGS)
CFLAGS_ALL := $(CFLAGS) -std=gnu11 $(WARN) -fPIC -fvisibility=hidden $(SAN_FLAGS)
CXXFLAGS_ALL := $(CXXFLAGS) -std=c++20 $(WARN) -fPIC -fvisibility=hidden -pthread $(SAN_FLAGS)
LDFLAGS_ALL := -Wl,-z,relro,-z,now -Wl,--as-needed -pthread $(SAN_FLAGS) $(LDFLAGS)

ifeq ($(V),1)
say :=
else
say = @printf '  %-7s %s\n' $(1) $(2);
endif

comma := ,

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

# objects SOURCES: where the object of each source lies.
objects = $(patsubst %,$(BUILD)/obj/%.o,$(1))

# Folders in which other rules of this tree put several programs: $(call program,FILE,SOURCES,LIBS,ARCHIVES).
define program
$(1): $(call objects,$(2)) $(4) $(LIB_STATIC)
	$$(call say,LD,$$@) mkdir -p $$(@D) && $$(CXX) $(LDFLAGS_ALL) $(call objects,$(2)) $(4) $(LIB_STATIC) $(3) $(LIB_LDLIBS) -o $$@
ALL_SOURCES += $(2)
endef

LIB_STATIC := $(BUILD)/lib/libaiaccel.a
LIB_SHARED := $(BUILD)/lib/libaiaccel.so.$(SOVERSION)

ALL_SOURCES :=
include libaiaccel/build.mk tools/build.mk tests/build.mk kmod/build.mk scripts/install.mk

$(BUILD)/obj/%.c.o: %.c
	$(call say,CC,$<) mkdir -p $(@D) && $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(OBJ_FLAGS) -c $< -o $@

$(BUILD)/obj/%.cpp.o: %.cpp
	$(call say,CXX,$<) mkdir -p $(@D) && $(CXX) $(CPPFLAGS_ALL) $(CXXFLAGS_ALL) $(OBJ_FLAGS) -c $< -o $@

-include $(patsubst %.o,%.d,$(call objects,$(sort $(ALL_SOURCES))))

##@ Targets
.PHONY: all lib tools tests modules tidy setup demo check check-debug check-kernels check-gpu sanitizers install clean help

all: lib tools ## the library and the tools (default)

setup: ## install what building and testing needs (apt, through sudo where not root)
	scripts/setup check

# 6.1, 6.12 and 7.x; the distribution's own is one of the first two.
KERNELS ?= stock $(if $(wildcard /usr/src/linux-source-6.1.tar.xz),bookworm-backports,bookworm) trixie-backports
TIME ?= 600

# As many jobs as there are processors, unless make was told how many.
build = +$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

demo: ## set up, build, run the main job on a real model; VM=1: on the module in a virtual machine
	scripts/setup $(if $(VM),check,demo)
	$(build) all $(if $(VM),modules)
	$(if $(VM),tests/vm/run --timeout 1200 -- )build/bin/aiaccel demo --json build/demo.json

check: ## set up, build, run every suite; the last line is `N passed, N failed, N skipped`
	scripts/setup check
	$(build) all tests modules sanitizers
	tests/run

check-debug: ## the module's suites on a debug kernel (KASAN, lockdep, kmemleak …), which is built once
	scripts/setup check
	scripts/debug-kernel
	$(build) all tests
	tests/run --kernel debug

check-kernels: ## the module built for, and its suites run on, each of KERNELS
	scripts/setup kernels
	$(build) all tests
	tests/kernels/run $(KERNELS)

# 77 is a skip: there is no GPU.
check-gpu: ## two CUDA programs on this machine's GPU: alone, time-sliced, by aiaccel; STANDIN=1: on none
	$(build) all build/standin/cuda-linked
	@mkdir -p build/check-gpu
	@$(if $(STANDIN),LD_LIBRARY_PATH=build/standin AIACCEL_STANDIN=build/check-gpu) \
		tests/gpu/check --json build/check-gpu/figures.json || [ $$? = 77 ]

# The programs of a flavour that tests/suites runs.
suite_programs = $(shell awk '$$4 ~ "^build/$(1)/" { print $$4 }' tests/suites | sort -u)

sanitizers: ## what the suites run of the tests, and the tools, again with ASan and UBSan (build/asan), TSan (build/tsan)
	$(build) SAN=address,undefined $(call suite_programs,asan) tools
	$(build) SAN=thread $(call suite_programs,tsan) build/tsan/bin/aiacceld

clean: ## remove build/
	rm -rf build

help: ## this text
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@sed -n 's/^#   \([A-Z].*\)/  \1/p' Makefile
