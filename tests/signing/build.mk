# SPDX-License-Identifier: MIT
TEST_SOURCES_signing := tests/registry/lab.cpp
TEST_LIBS_signing := $(REGISTRY_LDLIBS)
TEST_ARCHIVES_signing := $(REGISTRY_STATIC)
