// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The administrator's rules; see rule.h.
 *
 * Patterns are matched by following all places of the pattern at once that can be reached by the
 * text read so far, one bit each. So there is no backtracking, whose time hostile names of
 * cgroups could drive up.
 *
 * Values only; nothing to lock.
 */
#include "rule.h"

const struct aia_settings aia_settings_none = {
	.max_class = AIACCEL_CLASS_HIGH,
	.weight = AIACCEL_WEIGHT_DEFAULT,
	.engine_time = AIACCEL_ENGINE_TIME_ALL,
	.on_missing = AIACCEL_ON_MISSING_OPEN,
	.pinned_bytes = AIACCEL_UNLIMITED,
	.device_bytes = AIACCEL_UNLIMITED,
};

/* ---- patterns ---- */

enum kind {
	END,		/* of the pattern */
	STARS,		/* **: any characters */
	STAR,		/* any but slashes */
	ANY,		/* one but a slash */
	SET,		/* one of [...], never a slash */
	CHAR,		/* this one */
};

struct token {
	enum kind kind;
	__u32 length;	/* in the pattern */
	unsigned char c;
};

/* One member of a set, or an end of a range. */
static __u32 read_member(const char *at, unsigned char *c)
{
	bool quoted = at[0] == '\\' && at[1];

	*c = (unsigned char)at[quoted];
	return 1 + quoted;
}

/* Looks for @c in the set that begins at @at; its length, or 0 when it has no end. */
static __u32 read_set(const char *at, unsigned char c, bool *in)
{
	bool negated = at[1] == '!';
	const char *p = at + 1 + negated;
	const char *first = p;
	bool found = false;

	while (*p && (*p != ']' || p == first)) {
		unsigned char low, high;

		p += read_member(p, &low);
		high = low;
		if (p[0] == '-' && p[1] && p[1] != ']')
			p += 1 + read_member(p + 1, &high);
		found |= low <= c && c <= high;
	}
	*in = found != negated;
	return *p ? (__u32)(p - at) + 1 : 0;
}

static struct token read_token(const char *at)
{
	struct token token = {CHAR, 1, (unsigned char)*at};
	bool in;

	if (at[0] == '*' && at[1] == '*')
		return (struct token){STARS, 2, 0};
	switch (*at) {
	case '\0':
		token.kind = END;
		break;
	case '*':
		token.kind = STAR;
		break;
	case '?':
		token.kind = ANY;
		break;
	case '\\':
		if (at[1])
			token = (struct token){CHAR, 2, (unsigned char)at[1]};
		break;
	case '[':
		token.length = read_set(at, 0, &in);
		if (token.length)
			token.kind = SET;
		else
			token.length = 1;
		break;
	}
	return token;
}

static bool takes(const struct token *token, const char *at, unsigned char c)
{
	bool in = false;

	switch (token->kind) {
	case END:
		return false;
	case STARS:
		return true;
	case STAR:
	case ANY:
		return c != '/';
	case SET:
		read_set(at, c, &in);
		return in && c != '/';
	case CHAR:
		break;
	}
	return c == token->c;
}

/* Places in a pattern. */
struct places {
	__u64 bits[AIACCEL_PATTERN_LEN / 64];
};

static void add(struct places *places, __u32 i)
{
	places->bits[i / 64] |= 1ULL << (i % 64);
}

static bool has(const struct places *places, __u32 i)
{
	return places->bits[i / 64] >> (i % 64) & 1;
}

bool aia_rule_is_pattern(const char *pattern)
{
	for (;;) {
		struct token token = read_token(pattern);

		if (token.kind == END)
			return true;
		if (token.kind == CHAR && token.length == 1 && (token.c == '\\' || token.c == '['))
			return false;
		pattern += token.length;
	}
}

bool aia_rule_glob(const char *pattern, const char *text)
{
	struct places here = {{1}};

	for (;; text++) {
		unsigned char c = (unsigned char)*text;
		struct places next = {{0}};
		bool alive = false;
		__u32 i = 0;

		/* Tokens go upwards only, so one pass sees those that stars let in as well. */
		for (;;) {
			struct token token = read_token(pattern + i);
			bool star = token.kind == STAR || token.kind == STARS;

			if (token.kind == END)
				break;
			if (has(&here, i)) {
				if (star)
					add(&here, i + token.length);
				if (c && takes(&token, pattern + i, c)) {
					add(&next, star ? i : i + token.length);
					alive = true;
				}
			}
			i += token.length;
		}
		if (!c)
			return has(&here, i);
		if (!alive)
			return false;
		here = next;
	}
}

/* ---- settings ---- */

static const char *last_part(const char *path)
{
	const char *part = path;

	for (; *path; path++)
		if (*path == '/')
			part = path + 1;
	return part;
}

bool aia_rule_matches(const struct aiaccel_policy_rule *rule, const char *path, __u32 uid)
{
	switch (rule->match) {
	case AIACCEL_MATCH_PATH:
		return path && aia_rule_glob(rule->pattern, path);
	case AIACCEL_MATCH_NAME:
		return path && aia_rule_glob(rule->pattern, last_part(path));
	case AIACCEL_MATCH_USER:
		return !path && rule->uid == uid;
	}
	return false;
}

void aia_rule_apply(const struct aiaccel_policy_rule *rule, const char *path, __u32 uid,
		    struct aia_settings *settings)
{
	if (!aia_rule_matches(rule, path, uid))
		return;
	settings->sets |= rule->sets;
	if (rule->sets & AIACCEL_SETS_MAX_CLASS)
		settings->max_class = rule->max_class;
	if (rule->sets & AIACCEL_SETS_WEIGHT)
		settings->weight = rule->weight;
	if (rule->sets & AIACCEL_SETS_PINNED_BYTES)
		settings->pinned_bytes = rule->pinned_bytes;
	if (rule->sets & AIACCEL_SETS_DEVICE_BYTES)
		settings->device_bytes = rule->device_bytes;
	if (rule->sets & AIACCEL_SETS_ENGINE_TIME)
		settings->engine_time = rule->engine_time;
	if (rule->sets & AIACCEL_SETS_GRANTS)
		settings->grants = rule->grants;
	if (rule->sets & AIACCEL_SETS_ON_MISSING)
		settings->on_missing = rule->on_missing;
}

void aia_settings_below(struct aia_settings *settings, const struct aia_settings *above)
{
	if (settings->max_class > above->max_class)
		settings->max_class = above->max_class;
	if (!(settings->sets & AIACCEL_SETS_ON_MISSING))
		settings->on_missing = above->on_missing;
}

__u32 aia_settings_class(const struct aia_settings *settings, __u32 otherwise)
{
	bool ruled = settings->sets & AIACCEL_SETS_MAX_CLASS;

	return ruled || settings->max_class < otherwise ? settings->max_class : otherwise;
}
