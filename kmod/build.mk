# SPDX-License-Identifier: GPL-2.0-only
#
# aiaccel.ko for KVER. Kbuild puts its objects beside the sources, so it is given a tree of links to
# them under build/kmod/KVER that has the shape of the DKMS tree: kmod/ and include/uapi/.

KVER ?= $(shell scripts/kernel-release)
KDIR ?= /lib/modules/$(KVER)/build
KMOD_TREE := build/kmod/$(KVER)

modules: ## aiaccel.ko for KVER, in build/kmod/KVER
	@test -n '$(KVER)' || { echo 'make modules: no kernel headers found; run scripts/setup check, or give KVER=' >&2; exit 1; }
	@scripts/link-kmod-tree $(KMOD_TREE)
	$(call say,KBUILD,$(KVER)) $(MAKE) --no-print-directory $(if $(V),,-s) -C $(KDIR) M=$(CURDIR)/$(KMOD_TREE)/kmod KCFLAGS=-Werror modules
	@mkdir -p $(KMOD_TREE)/provider && rm -f $(KMOD_TREE)/provider/Module.symvers # it does not depend on the symbols used
	@ln -sf $(addprefix $(CURDIR)/tests/kmod/provider/,Kbuild provider.c importer.c importer.h) $(KMOD_TREE)/provider/
	$(call say,KBUILD,$(KVER)/provider) $(MAKE) --no-print-directory $(if $(V),,-s) -C $(KDIR) M=$(CURDIR)/$(KMOD_TREE)/provider KCFLAGS=-Werror KBUILD_EXTRA_SYMBOLS=$(CURDIR)/$(KMOD_TREE)/kmod/Module.symvers modules
	@ln -sf kmod/aiaccel.ko $(KMOD_TREE)/aiaccel.ko
