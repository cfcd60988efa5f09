/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The administrator's rules: which of them match a tenant, and what comes of them. A tenant's
 * settings are found so:
 *
 *	settings = aia_settings_none;
 *	for (each rule, in order)
 *		aia_rule_apply(rule, path, uid, &settings);
 *	aia_settings_below(&settings, &those of the tenant above);
 *
 * The root tenant has aia_settings_none; so have all while there are no rules.
 *
 * Invariant: every field of struct aia_settings holds a value that can be acted upon, set by a rule
 * or not. Bytes, turns and engine time of tenants above are not merged in: they are charged
 * at each level.
 *
 * Time: at most the length of the path times AIACCEL_PATTERN_LEN steps a rule, whatever the
 * pattern. Values only; nothing to lock.
 */
#ifndef AIA_CORE_RULE_H
#define AIA_CORE_RULE_H

#include <uapi/aiaccel.h>
#include "types.h"

struct aia_settings {
	__u32 sets;		/* enum aiaccel_policy_bits: what rules for this tenant set */
	__u32 max_class;	/* by rules, its own and those above; see aia_settings_class() */
	__u32 weight;
	__u32 engine_time;	/* AIACCEL_ENGINE_TIME_ALL: no ceiling */
	__u32 grants;		/* 0: no ceiling */
	__u32 on_missing;
	__u64 pinned_bytes;	/* AIACCEL_UNLIMITED: that of the implementation */
	__u64 device_bytes;	/* AIACCEL_UNLIMITED: no ceiling */
};

extern const struct aia_settings aia_settings_none;

/* Whether every set of a pattern has its end, and every \ a character to stand before. */
bool aia_rule_is_pattern(const char *pattern);

/*
 * Whether the pattern matches the whole text. It is shorter than AIACCEL_PATTERN_LEN; what is
 * wrong in it stands for itself.
 */
bool aia_rule_glob(const char *pattern, const char *text);

/* @path: the tenant's cgroup, from its slash; NULL where @uid is the tenant. */
bool aia_rule_matches(const struct aiaccel_policy_rule *rule, const char *path, __u32 uid);

/* What the rule sets, where it matches, takes the place of what earlier ones did. */
void aia_rule_apply(const struct aiaccel_policy_rule *rule, const char *path, __u32 uid,
		    struct aia_settings *settings);

/* Binds a tenant to what @above has, once all its rules were applied. */
void aia_settings_below(struct aia_settings *settings, const struct aia_settings *above);

/* The highest class, where it is @otherwise without a rule. */
__u32 aia_settings_class(const struct aia_settings *settings, __u32 otherwise);

#endif
