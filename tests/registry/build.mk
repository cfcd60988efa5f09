# SPDX-License-Identifier: MIT
TEST_LIBS_registry := $(REGISTRY_LDLIBS)
TEST_ARCHIVES_registry := $(REGISTRY_STATIC)
