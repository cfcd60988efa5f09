# SPDX-License-Identifier: MIT
#
# make install. The module is not built here but handed to DKMS: its sources go where dkms looks for
# them (or under PREFIX, where that is a folder of one user), and `dkms install aiaccel/VERSION` builds them.

PREFIX ?= /usr/local
bindir ?= $(PREFIX)/bin
libdir ?= $(PREFIX)/lib
includedir ?= $(PREFIX)/include
mandir ?= $(PREFIX)/share/man
# Where bash, zsh and fish look for what packages bring.
bashdir ?= $(PREFIX)/share/bash-completion/completions
zshdir ?= $(PREFIX)/share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
fishdir ?= $(PREFIX)/share/fish/vendor_completions.d
confdir ?= $(PREFIX)/lib
dkmsdir ?= $(if $(filter /usr /usr/local,$(PREFIX)),/usr/src,$(PREFIX)/src)/aiaccel-$(VERSION)

dkmstree ?= /var/lib/dkms
# What was put where, DESTDIR aside. What a later version puts is added, so that removal knows all of it.
manifest = $(libdir)/aiaccel/manifest
installed = $(DESTDIR)$(manifest)

put = install -D -m $(1) $(2) $(DESTDIR)$(3) && echo $(3) >>$(installed)
# $(call put-all,MODE,FILES,FOLDER): nothing when there are no such files
put-all = $(if $(2),install -d $(DESTDIR)$(3) && install -m $(1) $(2) $(DESTDIR)$(3) && \
	printf '%s\n' $(addprefix $(3)/,$(notdir $(2))) >>$(installed))
fill-in = sed -e 's|@VERSION@|$(VERSION)|g' -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@BINDIR@|$(bindir)|g' \
	-e 's|@LIBDIR@|$(libdir)|g' -e 's|@INCLUDEDIR@|$(includedir)|g' $(1) >$(DESTDIR)$(2) && echo $(2) >>$(installed)

complete = $(BUILD)/bin/aiaccel completion $(1) >$(DESTDIR)$(2) && echo $(2) >>$(installed)

install: all ## library, headers, tools, man pages, units, udev rules, DKMS sources; DESTDIR= PREFIX=
	install -d $(dir $(installed))
	echo $(manifest) >>$(installed)
	$(call put-all,755,$(TOOL_BINS),$(bindir))
	$(call put,755,$(LIB_SHARED),$(libdir)/$(notdir $(LIB_SHARED)))
	ln -sf $(notdir $(LIB_SHARED)) $(DESTDIR)$(libdir)/libaiaccel.so
	echo $(libdir)/libaiaccel.so >>$(installed)
	$(call put,644,$(LIB_STATIC),$(libdir)/libaiaccel.a)
	$(call put,755,$(REGISTRY_SHARED),$(libdir)/$(notdir $(REGISTRY_SHARED)))
	ln -sf $(notdir $(REGISTRY_SHARED)) $(DESTDIR)$(libdir)/libaiaccel-registry.so
	echo $(libdir)/libaiaccel-registry.so >>$(installed)
	$(call put,644,$(REGISTRY_STATIC),$(libdir)/libaiaccel-registry.a)
	$(call put,755,$(SHIM),$(libdir)/aiaccel/$(notdir $(SHIM)))
	$(call put-all,644,include/aiaccel.h include/aiaccel.hpp,$(includedir))
	$(call put-all,644,$(wildcard include/aiaccel/*.hpp),$(includedir)/aiaccel)
	$(call put-all,644,include/uapi/aiaccel.h,$(includedir)/uapi)
	install -d $(DESTDIR)$(libdir)/pkgconfig $(DESTDIR)$(libdir)/cmake/aiaccel
	$(call fill-in,libaiaccel/aiaccel.pc.in,$(libdir)/pkgconfig/aiaccel.pc)
	$(call fill-in,libaiaccel/registry/aiaccel-registry.pc.in,$(libdir)/pkgconfig/aiaccel-registry.pc)
	$(call fill-in,libaiaccel/aiaccelConfig.cmake.in,$(libdir)/cmake/aiaccel/aiaccelConfig.cmake)
	$(call fill-in,libaiaccel/aiaccelConfigVersion.cmake.in,$(libdir)/cmake/aiaccel/aiaccelConfigVersion.cmake)
	$(call put-all,644,$(wildcard docs/man/*.1),$(mandir)/man1)
	$(call put-all,644,$(wildcard docs/man/*.4),$(mandir)/man4)
	$(call put-all,644,$(wildcard docs/man/*.8),$(mandir)/man8)
	install -d $(DESTDIR)$(bashdir) $(DESTDIR)$(zshdir) $(DESTDIR)$(fishdir)
	$(call complete,bash,$(bashdir)/aiaccel)
	$(call complete,zsh,$(zshdir)/_aiaccel)
	$(call complete,fish,$(fishdir)/aiaccel.fish)
	install -d $(DESTDIR)$(confdir)/udev/rules.d $(DESTDIR)$(confdir)/systemd/system
	$(call fill-in,udev/60-aiaccel.rules.in,$(confdir)/udev/rules.d/60-aiaccel.rules)
	set -e; for unit in $(notdir $(wildcard udev/systemd/*.service)); do \
		$(call fill-in,udev/systemd/$$unit,$(confdir)/systemd/system/$$unit); done
	$(call put-all,644,$(wildcard udev/sysusers/*.conf),$(confdir)/sysusers.d)
	$(call put-all,644,$(wildcard udev/modules-load/*.conf),$(confdir)/modules-load.d)
	set -e; for unit in $(notdir $(wildcard tools/aiacceld/*.service tools/aiacceld/*.socket)); do \
		install -d $(DESTDIR)$(confdir)/systemd/user; \
		$(call fill-in,tools/aiacceld/$$unit,$(confdir)/systemd/user/$$unit); done
	$(call put,644,dkms.conf,$(dkmsdir)/dkms.conf)
	set -e; for file in $$(cd kmod && find . ! -name edu.c -name '*.[ch]' -o -name Kbuild); do \
		$(call put,644,kmod/$$file,$(dkmsdir)/kmod/$${file#./}); done
	$(call put,644,include/uapi/aiaccel.h,$(dkmsdir)/include/uapi/aiaccel.h)
	sort -u -o $(installed) $(installed)

# DKMS has modules of these sources where its link says so: those of another PREFIX are not ours. Folders go
# that have the name in their path, below PREFIX, and are empty.
.PHONY: uninstall
uninstall: ## remove what install put there, the modules of DKMS first; builds nothing; /etc/aiaccel stays
	@[ -e "$(installed)" ] || { \
		echo "nothing is installed with this PREFIX: $(installed) is missing" >&2; exit 1; }
	$(if $(DESTDIR),,set -e; sed -n 's|/dkms\.conf$$||p' "$(installed)" | while read -r tree; do \
		version=$${tree##*/aiaccel-}; \
		[ "$$(readlink "$(dkmstree)/aiaccel/$$version/source")" != "$$tree" ] || \
			dkms remove "aiaccel/$$version" --all --dkmstree "$(dkmstree)"; done)
	set -e; files=$$(cat "$(installed)"); \
		echo "$$files" | while read -r file; do rm -f "$(DESTDIR)$$file"; done; \
		echo "$$files" | awk -v prefix="$(PREFIX)/" '{ above = index($$0, prefix) == 1 ? length(prefix) : 0; \
			while (sub("/[^/]*$$", "") && substr($$0, above) ~ /aiaccel/) print }' | LC_ALL=C sort -ru | \
			while read -r folder; do rmdir "$(DESTDIR)$$folder" 2>/dev/null || true; done
